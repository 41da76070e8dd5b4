"""Addresses of buckets, and the local folders that hold their copies.

SQLite, ScaNN, Grain and Orbax need a local disk. So a folder of a bucket has a
copy on it. The copy of s3://bucket/run is s3/bucket/run in the staging folder.
"""

import os
import pathlib
import re
from typing import Any

# Packages that read the addresses. Those of memory:// are for tests.
PACKAGES = {"gs": "gcsfs", "s3": "s3fs", "memory": "fsspec"}
STAGING = "~/.cache/pinrec_jax/buckets"
VARIABLE = "PINREC_STAGING"  # Environment variable of another folder.
NOT_KEYS = ("", ".", "..")  # They have no place on a local disk.
MOUNT = "mount the bucket, and use the mounted folder"


def is_address(text: Any) -> bool:
  """Whether a path or a text is an address, such as gs://bucket/run."""
  # pathlib makes one slash of two.
  return re.match("[a-z0-9]{2,}:/", str(text)) is not None


def is_local(place: str) -> bool:
  """Whether a place is a path of the file system."""
  return not is_address(place)


def parse(text: Any) -> tuple[str, str]:
  """Returns the scheme of an address and its bucket with the folder.

  Raises:
    ValueError: if the address is not one of a folder of a bucket.
  """
  scheme, _, rest = str(text).partition(":")
  if scheme not in PACKAGES:
    raise ValueError(
      f"{str(text)!r} is an address of an unknown kind; use gs:// or s3://, or "
      f"{MOUNT}"
    )
  path = rest.strip("/")
  if any(part in NOT_KEYS for part in path.split("/")):
    raise ValueError(
      f"{str(text)!r} names no folder of a bucket; use {scheme}://BUCKET/FOLDER"
    )
  return scheme, path


def staging() -> pathlib.Path:
  """Returns the folder of all local copies.

  Raises:
    ValueError: if there is no home folder.
  """
  given = os.environ.get(VARIABLE) or STAGING
  try:
    return pathlib.Path(given).expanduser().absolute()
  except RuntimeError as error:
    raise ValueError(
      f"an address needs a local folder, and there is no home folder; set "
      f"{VARIABLE} to a folder on a local disk"
    ) from error


def local(text: str | pathlib.Path) -> pathlib.Path:
  """Returns the folder of a path; for an address, that of its local copy.

  Raises:
    ValueError: if an address is not one of a folder of a bucket, or there is no
      home folder.
  """
  if is_address(text):
    scheme, path = parse(text)
    return staging() / scheme / path
  return pathlib.Path(text).expanduser()


def of(path: pathlib.Path) -> str:
  """Returns the address of a folder that is a local copy; "" if it is none."""
  try:
    root = staging()
  except ValueError:  # There is no home folder, and so no copy.
    return ""
  whole = pathlib.Path(os.path.abspath(path))  # Without "..".
  if whole == root or not whole.is_relative_to(root):
    return ""
  scheme, *parts = whole.relative_to(root).parts
  return f"{scheme}://{'/'.join(parts)}" if parts else ""


def name(path: pathlib.Path) -> str:
  """Returns a text that `local` turns into a folder, on other machines, too."""
  return of(path) or str(path.absolute())
