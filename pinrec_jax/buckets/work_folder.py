"""Work folders in a bucket, for the workflows, the training and the server.

A path of the file system passes through all functions here unchanged.
"""

import contextlib
import os
import pathlib
import sys
import threading
from collections.abc import Callable, Iterator

from pinrec_jax import files
from pinrec_jax.buckets import addresses, layout, mirror
from pinrec_jax.buckets import index as index_lib

PROCESSES = "JAX_NUM_PROCESSES"  # Environment variable.
REMEDY = "write the bundle again with --mode=index"


@contextlib.contextmanager
def opened(workdir: str | pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields the local folder of a work folder, and uploads it at the end.

  After an error, whole files are uploaded, too.

  Args:
    workdir: a path, or an address of a folder of a bucket.

  Raises:
    OSError: naming the address, if it cannot be read or written.
    ValueError: if the address is invalid, its package is missing, or several
      processes would use it.
  """
  if not addresses.is_address(workdir):
    yield pathlib.Path(workdir).expanduser()
    return
  if os.environ.get(PROCESSES, "1") not in ("", "0", "1"):
    raise ValueError(
      f"the work folder is {str(workdir)!r} and {PROCESSES} is "
      f"{os.environ[PROCESSES]}; several processes need a folder that all of "
      f"them see, so {addresses.MOUNT}, or use one process"
    )
  found = mirror.Mirror(str(workdir))
  found.fetch()
  with _pushed(found):
    yield found.folder


@contextlib.contextmanager
def _pushed(found: mirror.Mirror) -> Iterator[None]:
  """Uploads a local copy at the end.

  An earlier error is not replaced, unless another machine trains there.
  """
  try:
    yield
  except mirror.TakenOverError:
    raise
  except Exception:
    try:
      found.push()
    except mirror.TakenOverError:
      raise
    except (OSError, ValueError) as error:
      print(f"not uploaded: {error}", file=sys.stderr)
    raise
  found.push()


class _Uploads:
  """Uploads of checkpoints in the background."""

  def __init__(self, found: mirror.Mirror) -> None:
    self._mirror, self._threads = found, list[threading.Thread]()
    self._lost: mirror.TakenOverError | None = None

  def start(self, wait: Callable[[], None]) -> None:
    """Uploads once `wait` returns.

    Raises:
      TakenOverError: if another machine has started to train in the folder.
    """
    self._require_own()
    self._threads = [one for one in self._threads if one.is_alive()]
    thread = threading.Thread(
      target=self._upload, args=(wait,), daemon=True, name="upload"
    )
    self._threads.append(thread)
    thread.start()

  def finish(self) -> None:
    """Waits for all uploads.

    Raises:
      TakenOverError: if another machine has started to train in the folder.
    """
    for thread in self._threads:
      thread.join()
    self._require_own()

  def _require_own(self) -> None:
    if self._lost:
      raise self._lost

  def _upload(self, wait: Callable[[], None]) -> None:
    try:
      wait()
      self._mirror.push()
    except mirror.TakenOverError as error:
      self._lost = error
    except Exception as error:  # The training goes on without the network.
      print(
        f"not uploaded: {error}. The next checkpoint is uploaded with this one",
        file=sys.stderr,
      )


_trained: dict[pathlib.Path, _Uploads] = {}  # By the local folder.


@contextlib.contextmanager
def claimed(folder: pathlib.Path) -> Iterator[None]:
  """Makes this process the one that trains in a work folder of a bucket.

  All of the folder is uploaded at the end. The lock of `files.locked` must be
  held, which keeps out other processes of this machine.

  Args:
    folder: the local folder.

  Raises:
    OSError: naming the address, if it cannot be read or written.
    TakenOverError: if another machine has started to train in the folder.
  """
  root = _root(folder)
  if root is None:
    yield
    return
  found = mirror.Mirror(addresses.of(root))
  found.claim()
  uploads = _trained[root] = _Uploads(found)
  try:
    with _pushed(found):
      try:
        yield
      except Exception:
        uploads.finish()
        raise
      uploads.finish()
  finally:
    del _trained[root]
    with contextlib.suppress(OSError):  # The next training says so.
      found.release()


def saved(folder: pathlib.Path, wait: Callable[[], None]) -> None:
  """Uploads a work folder of a bucket in the background, after a checkpoint.

  Args:
    folder: the local folder, or one inside it.
    wait: returns once the checkpoint is on the local disk.

  Raises:
    TakenOverError: if another machine has started to train in the folder.
  """
  for root, uploads in _trained.items():
    if folder.absolute().is_relative_to(root):
      uploads.start(wait)


def readable(path: str | pathlib.Path) -> pathlib.Path:
  """Returns the local folder of a work folder or of bundles, for reading.

  For an address, the folder has the manifests of all bundles, and the pointer
  to the current one. Call `complete` before a bundle is read.

  Raises:
    OSError: naming the address, if it cannot be read.
    ValueError: if the address is invalid, or its package is missing.
  """
  if addresses.is_address(path):
    mirror.Mirror(str(path)).fetch(layout.pointers)
  return addresses.local(path)


def refresh(folder: pathlib.Path) -> None:
  """Fetches the manifests of new bundles, and the pointer to the current one.

  Raises:
    OSError: naming the address, if it cannot be read.
  """
  root = _root(folder)
  if root is not None:
    mirror.Mirror(addresses.of(root)).fetch(layout.pointers)


def follow(folder: pathlib.Path) -> None:
  """Does what `refresh` does if another bundle has become current.

  Raises:
    OSError: naming the address, if it cannot be read.
  """
  root = _root(folder)
  if root is not None:
    pointer = folder.absolute() / layout.CURRENT
    name = pointer.relative_to(root).as_posix()
    now = mirror.Mirror(addresses.of(root)).bucket.read(name)
    if not (pointer.is_file() and pointer.read_bytes() == now):
      refresh(folder)


def publish(folder: pathlib.Path) -> None:
  """Uploads a folder of bundles, and the pointer to the current one.

  Raises:
    OSError: naming the address, if it cannot be written.
  """
  root = _root(folder)
  if root is not None:
    inside = folder.absolute().relative_to(root).as_posix()
    mirror.Mirror(addresses.of(root)).push(inside)


def complete(bundle: pathlib.Path) -> None:
  """Downloads the files of a bundle that are not in the local folder yet.

  Raises:
    OSError: naming the address, if it cannot be read.
    ValueError: naming an object that is damaged.
  """
  root = _root(bundle)
  if root is None:
    return
  digests = files.read_json(bundle / layout.MANIFEST).get("files", {})
  missing = [name for name in digests if not (bundle / name).is_file()]
  if not missing:
    return
  found = mirror.Mirror(addresses.of(root))
  inside = bundle.absolute().relative_to(root)
  found.fetch(lambda there: {(inside / name).as_posix() for name in digests})
  for name in missing:
    path = bundle / name
    if path.is_file() and files.digest(path) != digests[name]:
      path.unlink()  # It is downloaded again.
      raise ValueError(
        f"{addresses.of(path)} is damaged: its digest is not the one in "
        f"{layout.MANIFEST}; {REMEDY}"
      )


def _root(folder: pathlib.Path) -> pathlib.Path | None:
  """Returns the local work folder of a bucket that a folder is in, if any."""
  whole = folder.absolute()
  if not addresses.of(whole):
    return None
  for place in (whole, *whole.parents):
    if (place / index_lib.FILE).is_file():
      return place
  return None
