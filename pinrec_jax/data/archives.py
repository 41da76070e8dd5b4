"""Published archives: fetched, checked, and unpacked once."""

import hashlib
import pathlib
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from typing import IO, NamedTuple

import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import download_manager

TIMEOUT = 30  # seconds for a server to answer


class Archive(NamedTuple):
  """Where an archive lies, and what is read of it."""

  url: str
  files: tuple[str, ...]  # names without folders; the rest stays packed
  md5: str = ""  # empty: checksums.tsv has the size and sha256 TFDS checks


def fetch(
  archive: Archive, downloads: tfds.download.DownloadManager
) -> pathlib.Path:
  """Returns a folder with an archive's files, downloading it if need be.

  Args:
    archive: what to fetch. It is deleted once its files are unpacked.
    downloads: keeps the files under its `download_dir`.

  Raises:
    ConnectionError: if it cannot be downloaded.
    ValueError: if it is not the one that was published.
  """
  root = pathlib.Path(downloads.download_dir)
  folder = root / pathlib.PurePosixPath(archive.url).name.split(".")[0]
  if folder.is_dir():
    return folder
  try:
    _reach(archive.url)
    path = pathlib.Path(downloads.download(archive.url))
  except download_manager.NonMatchingChecksumError as error:
    raise _refusal(archive.url, str(error)) from error
  except (OSError, tfds.download.DownloadError) as error:
    raise ConnectionError(
      f"{archive.url} cannot be downloaded ({error}); download and unpack it "
      "yourself, and pass --config.data.source=FOLDER"
    ) from error
  finally:
    for left in root.glob("**/*.tmp.*"):
      shutil.rmtree(left, ignore_errors=True)
  if archive.md5:
    with path.open("rb") as file:
      found = hashlib.file_digest(file, "md5").hexdigest()
    if found != archive.md5:
      _delete(path)
      raise _refusal(archive.url, f"md5 {found}, and not {archive.md5}")
  _unpack(path, archive, folder)
  _delete(path)
  return folder


def _reach(url: str) -> None:
  """Raises OSError if a server does not answer; TFDS tries for minutes."""
  head = urllib.request.Request(url, method="HEAD")
  try:
    urllib.request.urlopen(head, timeout=TIMEOUT).close()
  except urllib.error.HTTPError as refused:
    refused.close()  # an answer; the download tells what is wrong


def _delete(path: pathlib.Path) -> None:
  """Deletes a download, and what TFDS notes of it."""
  path.unlink()
  path.with_name(f"{path.name}.INFO").unlink(missing_ok=True)


def _refusal(url: str, why: str) -> ValueError:
  return ValueError(
    f"what {url} holds is not what was published, and is left alone: {why}; "
    "run again, or download and unpack it yourself and pass "
    "--config.data.source=FOLDER"
  )


def _unpack(path: pathlib.Path, archive: Archive, folder: pathlib.Path) -> None:
  """Writes the files that are read; the folder is there once all are.

  TFDS would write every file, holds each in memory, and needs TensorFlow.
  """
  part = folder.with_name(f"{folder.name}.part")
  shutil.rmtree(part, ignore_errors=True)
  part.mkdir()
  members = _zipped if archive.url.endswith(".zip") else _tarred
  for name, member in members(path):
    if name in archive.files:
      with member, (part / name).open("wb") as file:
        shutil.copyfileobj(member, file)
  part.rename(folder)


def _zipped(path: pathlib.Path) -> Iterator[tuple[str, IO[bytes]]]:
  with zipfile.ZipFile(path) as archive:
    for member in archive.infolist():
      yield pathlib.PurePosixPath(member.filename).name, archive.open(member)


def _tarred(path: pathlib.Path) -> Iterator[tuple[str, IO[bytes]]]:
  with tarfile.open(path) as archive:
    for member in archive:
      if (file := archive.extractfile(member)) is not None:  # no folder
        yield pathlib.PurePosixPath(member.name).name, file
