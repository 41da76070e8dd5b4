"""The objects below an address, and clear errors of the network."""

import contextlib
import functools
import glob
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import fsspec

from pinrec_jax.buckets import addresses

PARALLEL = 4  # Files that are copied at a time.
# What changes if an object is written again, by the kind of the bucket.
VERSIONS = ("ETag", "etag", "generation", "created")


class Entry(NamedTuple):
  """An object of a listing.

  Attributes:
    size: in bytes.
    version: another text whenever the object is written.
  """

  size: int
  version: str


@functools.cache
def file_system(scheme: str) -> Any:
  """Returns the file system of all buckets of a kind, for all threads.

  Raises:
    ImportError: if its package is missing.
  """
  # Another machine may write, so no listing is kept.
  found: Any = fsspec.filesystem(scheme, use_listings_cache=False)
  found.batch_size = PARALLEL  # s3fs reads files of up to 100 MB into memory.
  return found


def located(address: str) -> tuple[Any, str]:
  """Returns the file system of an address, and the path in it.

  It connects to nothing yet.

  Raises:
    OSError: if the file system cannot be used, as with malformed credentials.
    ValueError: if the address is invalid, or its package is missing.
  """
  scheme, path = addresses.parse(address)
  try:
    return file_system(scheme), path
  except ImportError as error:
    raise ValueError(
      f"{scheme}://{path} needs the package {addresses.PACKAGES[scheme]}; "
      "install the extra from the folder of the repository, as: pip install "
      "'.[bucket]' (EXTRAS=bucket for the launch scripts)"
    ) from error
  except Exception as error:
    raise _explained(f"{scheme}://{path}", error) from error


@contextlib.contextmanager
def explaining(place: str) -> Iterator[None]:
  """Turns errors of the libraries into errors that name an address."""
  try:
    yield
  except Exception as error:
    raise _explained(place, error) from error


class Objects:
  """The objects below one address, by their names relative to it.

  Attributes:
    address: such as s3://bucket/run.
  """

  def __init__(self, address: str) -> None:
    """Connects to nothing yet.

    Raises:
      ValueError: if the address is invalid, or its package is missing.
    """
    self._system, self._path = located(address)
    self.address = f"{addresses.parse(address)[0]}://{self._path}"

  def _key(self, name: str) -> str:
    return f"{self._path}/{name}"

  def _explaining(self, name: str = "") -> contextlib.AbstractContextManager:
    return explaining(f"{self.address}/{name}" if name else self.address)

  def list(self) -> dict[str, Entry]:
    """Returns all objects below the address.

    Raises:
      OSError: naming the address, if it cannot be read.
      ValueError: if a name has no place on a local disk.
    """
    with self._explaining():
      found = self._system.find(self._path, detail=True)
    entries = {}
    for key, info in found.items():
      name = key.lstrip("/").removeprefix(self._path + "/")
      if name == key.lstrip("/") or name.endswith("/"):
        continue  # The folder itself, which some tools write as an object.
      if any(part in addresses.NOT_KEYS for part in name.split("/")):
        raise ValueError(
          f"the object {self.address}/{name} has no place on a local disk; "
          "rename or delete it"
        )
      version = next((info[v] for v in VERSIONS if v in info), "")
      entries[name] = Entry(int(info["size"]), str(version))
    return entries

  def read(self, name: str) -> bytes | None:
    """Returns the content of a small object; None if there is none.

    Raises:
      OSError: naming the object, if it cannot be read.
    """
    with self._explaining(name):
      try:
        return self._system.cat_file(self._key(name))
      except FileNotFoundError:
        return None

  def write(self, name: str, content: bytes) -> None:
    """Writes a small object.

    Raises:
      OSError: naming the object, if it cannot be written.
    """
    with self._explaining(name):
      self._system.pipe_file(self._key(name), content)

  def download(self, names: Iterable[str], folder: pathlib.Path) -> None:
    """Downloads objects into a folder, some at a time.

    Raises:
      FileNotFoundError: if an object was deleted since it was listed.
      OSError: naming the address, if an object cannot be read.
    """
    pairs = {self._key(name): str(folder / name) for name in names}
    if pairs:
      with self._explaining():
        self._system.get([*pairs], [*pairs.values()])

  def upload(self, paths: Mapping[str, pathlib.Path]) -> None:
    """Uploads files, some at a time; each object is whole or absent.

    Raises:
      OSError: naming the address, if an object cannot be written.
    """
    if paths:
      with self._explaining():
        self._system.put(
          [str(path) for path in paths.values()],
          [self._key(name) for name in paths],
        )

  def delete(self, names: Iterable[str]) -> None:
    """Deletes objects; those that are gone already are left out.

    Raises:
      OSError: naming the address, if an object cannot be deleted.
    """
    keys = [self._key(name) for name in names]
    with self._explaining():
      # In a list, keys such as "a[1]" would be patterns.
      if keys and not any(glob.has_magic(key) for key in keys):
        try:
          self._system.rm(keys)
          return
        except FileNotFoundError:  # Others may be left.
          pass
      for key in keys:
        with contextlib.suppress(FileNotFoundError):
          self._system.rm_file(key)


def _explained(place: str, error: Exception) -> OSError:
  """Returns an error that names an address and says what to do."""
  text = f"{type(error).__name__}: {error}".strip(": ")
  if isinstance(error, FileNotFoundError):
    return FileNotFoundError(
      f"{place} cannot be used ({text}); create the bucket, or correct the "
      "address"
    )
  if isinstance(error, PermissionError) or "redential" in text:
    return PermissionError(
      f"{place} cannot be used ({text}); set credentials that may list, read, "
      "write and delete its objects, as docs/operations.md says (Buckets)"
    )
  return ConnectionError(
    f"{place} cannot be used ({text}); check the network and the endpoint. "
    "Local files are kept, and the same command continues"
  )
