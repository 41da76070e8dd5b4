"""What a local copy knows of its bucket, in a file beside the copy."""

import dataclasses
import os
import pathlib
from typing import NamedTuple

from pinrec_jax import files
from pinrec_jax.buckets import layout

FILE = ".bucket"

Stamp = tuple[int, int]  # Size in bytes and time of change in nanoseconds.


class Known(NamedTuple):
  """A file that was the same in the bucket and in the local copy.

  Attributes:
    version: of the object.
    stamp: of the local file.
  """

  version: str
  stamp: Stamp


@dataclasses.dataclass
class Index:
  """The files that were the same on both sides, by name.

  A change on either side is a difference from it.

  Attributes:
    files: the files.
    writer: session of the last training that used this copy; "" if none did.
  """

  files: dict[str, Known] = dataclasses.field(default_factory=dict)
  writer: str = ""

  def save(self, folder: pathlib.Path) -> None:
    """Writes the index of a local copy."""
    files.write_json(folder / FILE, dataclasses.asdict(self))

  def is_changed(self, name: str, stamp: Stamp) -> bool:
    """Whether a local file is not as it was on both sides."""
    known = self.files.get(name)
    return known is None or known.stamp != stamp


def load(folder: pathlib.Path) -> Index:
  """Reads the index of a local copy. If it is missing, nothing is known."""
  path = folder / FILE
  if not path.is_file():
    return Index()
  try:
    found = files.read_json(path)
    known = {
      name: Known(version, (stamp[0], stamp[1]))
      for name, (version, stamp) in found["files"].items()
    }
    return Index(known, found["writer"])
  except (KeyError, TypeError, ValueError):  # Nothing is known then.
    return Index()


def stamp(path: pathlib.Path) -> Stamp:
  """Returns the size and the time of change of a file."""
  found = path.stat()
  return found.st_size, found.st_mtime_ns


def scan(folder: pathlib.Path) -> dict[str, Stamp]:
  """Returns the files of a local copy that belong into the bucket."""
  found = {}
  for root, folders, names in os.walk(folder):
    inner = pathlib.Path(root).relative_to(folder)
    folders[:] = [n for n in folders if layout.is_copied(n)]
    for name in names:
      relative = (inner / name).as_posix()
      if layout.is_copied(relative):
        try:
          found[relative] = stamp(folder / relative)
        except FileNotFoundError:  # It was deleted since it was listed.
          continue
  return found
