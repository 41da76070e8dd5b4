"""Prepared logs in a bucket. They are written once and never changed."""

import pathlib

from pinrec_jax import files
from pinrec_jax.buckets import addresses, index, objects

# Folders that each machine makes of a log.
DERIVED = ("figures/", "packed/")


def fetch(folder: pathlib.Path, seal: str) -> bool:
  """Downloads a prepared log; returns whether it is there.

  Args:
    folder: of the log. If it is not the local copy of a bucket, nothing is
      done.
    seal: file without which the log is not complete.

  Raises:
    OSError: naming the address, if it cannot be read.
  """
  address = addresses.of(folder)
  if not address:
    return False
  bucket = objects.Objects(address)
  there = bucket.list()
  if seal not in there:
    return False
  with files.new_folder(folder) as part:
    bucket.download(there, part)
  return True


def push(folder: pathlib.Path, seal: str) -> None:
  """Uploads a prepared log, the seal last, if the bucket does not have it.

  Args:
    folder: of the log. If it is not the local copy of a bucket, nothing is
      done.
    seal: as in `fetch`.

  Raises:
    OSError: naming the address, if it cannot be written.
  """
  address = addresses.of(folder)
  if not address:
    return
  bucket = objects.Objects(address)
  if bucket.read(seal) is None:
    names = (n for n in index.scan(folder) if not n.startswith(DERIVED))
    content = {name: folder / name for name in names if name != seal}
    bucket.upload(content)
    bucket.upload({seal: folder / seal})


def drop(folder: pathlib.Path, seal: str) -> None:
  """Deletes the seal of a damaged log from the bucket, so nothing reads it.

  Raises:
    OSError: naming the address, if it cannot be written.
  """
  address = addresses.of(folder)
  if address:
    objects.Objects(address).delete([seal])
