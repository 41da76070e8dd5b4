"""Published archives: downloaded, checked, and unpacked once."""

import pathlib
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import pooch

from pinrec_jax import files

TIMEOUT = 30  # Seconds that a server may take to answer.


class Archive(NamedTuple):
  """A published archive.

  Attributes:
    url: its address.
    members: names of the files to unpack, without folders.
    checksum: the published one, such as "sha256:96f2...".
  """

  url: str
  members: tuple[str, ...]
  checksum: str


def fetch(archive: Archive, folder: pathlib.Path) -> pathlib.Path:
  """Returns a folder with an archive's files; downloads them if need be.

  Args:
    archive: the archive. It is deleted after its files are unpacked.
    folder: of all downloads.

  Raises:
    ConnectionError: if it cannot be downloaded.
    ValueError: if its checksum is not the published one.
  """
  name = pathlib.PurePosixPath(archive.url).name
  unpacked = folder / name.split(".")[0]
  if unpacked.is_dir():
    return unpacked
  remedy = (
    "download and unpack it yourself, and pass --config.data.source=FOLDER"
  )
  pooch.get_logger().setLevel("WARNING")
  # Its type says less than it does.
  downloader: Any = pooch.HTTPDownloader(timeout=TIMEOUT, progressbar=True)
  try:
    path = pooch.retrieve(
      archive.url,
      archive.checksum,
      fname=name,
      path=folder,
      downloader=downloader,
    )
  except ValueError as error:
    raise ValueError(
      f"the file at {archive.url} does not have the published checksum "
      f"{archive.checksum}. The download was deleted. Run again, or {remedy}"
    ) from error
  except OSError as error:  # Those of requests among them.
    raise ConnectionError(
      f"{archive.url} cannot be downloaded ({error}); {remedy}"
    ) from error
  members = _zipped if name.endswith(".zip") else _tarred
  with files.new_folder(unpacked) as part:
    for member, content in members(pathlib.Path(path)):
      if member in archive.members:
        with content, (part / member).open("wb") as file:
          shutil.copyfileobj(content, file)
  pathlib.Path(path).unlink()
  return unpacked


def _zipped(path: pathlib.Path) -> Iterator[tuple[str, IO[bytes]]]:
  with zipfile.ZipFile(path) as archive:
    for member in archive.infolist():
      yield pathlib.PurePosixPath(member.filename).name, archive.open(member)


def _tarred(path: pathlib.Path) -> Iterator[tuple[str, IO[bytes]]]:
  with tarfile.open(path) as archive:
    for member in archive:
      content = archive.extractfile(member)
      if content is not None:  # Not a folder.
        yield pathlib.PurePosixPath(member.name).name, content
