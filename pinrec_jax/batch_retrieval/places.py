"""Files of histories and folders of lists, by a path or an address."""

import contextlib
import io
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import fsspec

from pinrec_jax import files
from pinrec_jax.buckets import addresses, objects

BLOCK = 1 << 20  # Bytes that are read at a time.


class Source(NamedTuple):
  """A file of histories.

  Attributes:
    place: its absolute path, or its address.
    size: in bytes.
  """

  place: str
  size: int


def sources(pattern: str) -> list[Source]:
  """Returns the files of a path, a folder or a pattern, sorted by name.

  Folders are searched at every depth. Names that begin with "_" or "." are
  skipped, as `_SUCCESS` of Spark.

  Args:
    pattern: a path or an address.

  Raises:
    FileNotFoundError: if there is none.
    OSError: naming an address that cannot be read.
    ValueError: if an address is invalid, or its package is missing.
  """
  prefix, system = "", fsspec.filesystem("file")
  if addresses.is_address(pattern):
    system, path = objects.located(pattern)
    prefix = pattern.partition(":")[0] + "://"
  else:
    path = os.path.abspath(pathlib.Path(pattern).expanduser())
  with objects.explaining(pattern) if prefix else contextlib.nullcontext():
    found, outside = _found(system, path)
  known = [
    Source(prefix + name.lstrip("/" if prefix else ""), int(info["size"]))
    for name, info in sorted(found.items())
    if info["type"] == "file"
    and not any(part[:1] in ("_", ".") for part in name[outside:].split("/"))
  ]
  if not known:
    raise FileNotFoundError(
      f"--histories is {pattern!r} and there is no such file; give a file, a "
      "folder, or a pattern such as histories/*.jsonl"
    )
  return known


def _found(system: Any, path: str) -> tuple[dict[str, Any], int]:
  """Returns all files, and how much of their names the path names itself."""
  if system.isfile(path):
    return {path: system.info(path)}, len(path)
  if system.isdir(path):
    return system.find(path, detail=True), len(path)
  found = system.glob(path, detail=True)
  for name, info in [*found.items()]:
    if info["type"] == "directory":
      found |= system.find(name, detail=True)
  literal = re.split(r"[*?\[]", path)[0]
  return found, len(literal.rpartition("/")[0])


def opened(place: str) -> Any:
  """Returns an open file of bytes, which can be peeked into.

  Raises:
    OSError: naming the file, if it cannot be opened.
  """
  if not addresses.is_address(place):
    return pathlib.Path(place).open("rb", buffering=BLOCK)
  system, path = objects.located(place)
  with objects.explaining(place):
    return io.BufferedReader(system.open(path, "rb"), BLOCK)


class Folder:
  """A folder of lists; each of its files is whole or absent.

  Attributes:
    place: its path or its address.
    path: None for an address.
  """

  def __init__(self, place: str) -> None:
    """Reads and makes nothing yet.

    Args:
      place: a path or an address.

    Raises:
      ValueError: if an address is invalid, or its package is missing.
    """
    self.place = place
    self.path: pathlib.Path | None = None
    if addresses.is_address(place):
      self._objects = objects.Objects(place)
    else:
      self.path = pathlib.Path(os.path.abspath(addresses.local(place)))
      self.place = str(self.path)

  def names(self) -> set[str]:
    """Returns the names of all files but hidden ones, relative to the folder.

    Raises:
      OSError: naming an address that cannot be read.
    """
    if self.path is None:
      found = {*self._objects.list()}
    else:
      own = (path.relative_to(self.path) for path in self.path.rglob("*"))
      found = {path.as_posix() for path in own}
    return {name for name in found if name.rpartition("/")[2][:1] != "."}

  def read(self, name: str) -> bytes | None:
    """Returns a small file; None if there is none."""
    if self.path is None:
      return self._objects.read(name)
    try:
      return (self.path / name).read_bytes()
    except FileNotFoundError:
      return None

  def write(self, name: str, content: bytes) -> None:
    """Writes a file whole."""
    if self.path is None:
      self._objects.write(name, content)
    else:
      files.write(self.path / name, content)

  @contextlib.contextmanager
  def reading(self, name: str) -> Iterator[Any]:
    """Yields an open file of bytes."""
    place = f"{self.place}/{name}"
    with opened(place) as file:
      yield file
