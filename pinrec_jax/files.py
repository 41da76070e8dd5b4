"""Files that are written whole or not at all, and their digests."""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

import xxhash

from pinrec_jax import pace

LOCK = ".lock"  # In a work folder that a training uses.
DIGESTED = 4 << 20  # Bytes of a file that are digested at once.
# Locks that this process has: the system would give it a lock twice.
_held: set[pathlib.Path] = set()


def write(path: pathlib.Path, content: str | bytes) -> None:
  """Writes a file beside its place and renames it; text is UTF-8."""
  data = content.encode() if isinstance(content, str) else content
  path.parent.mkdir(parents=True, exist_ok=True)
  number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
  try:
    with os.fdopen(number, "wb") as file:
      file.write(data)
      file.flush()
      os.fsync(file.fileno())
    os.chmod(name, 0o666 & ~_umask())
    os.replace(name, path)
  except BaseException:
    pathlib.Path(name).unlink(missing_ok=True)
    raise


def _umask() -> int:
  value = os.umask(0)
  os.umask(value)
  return value


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes JSON. NaN and infinity, which JSON lacks, become null."""
  text = json.dumps(_finite(value), indent=1, ensure_ascii=False)
  write(path, text + "\n")


def _finite(value: Any) -> Any:
  if isinstance(value, dict):
    return {key: _finite(inner) for key, inner in value.items()}
  if isinstance(value, list | tuple):
    return [_finite(inner) for inner in value]
  if isinstance(value, float) and value - value != 0:  # NaN or infinite
    return None
  return value


def read_json(path: pathlib.Path, kind: type = dict) -> Any:
  """Returns the JSON of a file.

  Args:
    path: of the file.
    kind: type that the outermost value must have.

  Raises:
    ValueError: naming the file, if it is damaged.
  """
  try:
    value = json.loads(path.read_text(encoding="utf-8"))
  except ValueError as error:
    raise ValueError(f"{path} is damaged: it is not JSON ({error})") from error
  if not isinstance(value, kind):
    raise ValueError(f"{path} is damaged: it does not hold a {kind.__name__}")
  return value


@contextlib.contextmanager
def locked(folder: pathlib.Path, flag: str = "--workdir") -> Iterator[None]:
  """Keeps other processes out of a folder.

  The lock belongs to the process, so a killed process leaves none. On file
  systems without locks, nothing is kept out.

  Args:
    folder: made if it does not exist.
    flag: the flag that names it, for errors.

  Raises:
    ValueError: naming the process that has the lock.
  """
  folder.mkdir(parents=True, exist_ok=True)
  path = (folder / LOCK).resolve()
  if path in _held:  # Opening the file again would end the lock.
    raise ValueError(_in_use(folder, flag, "this process"))
  with path.open("a+", encoding="utf-8") as file:
    try:
      fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
      file.seek(0)
      raise ValueError(_in_use(folder, flag, file.read().strip())) from error
    except OSError:  # There are no locks here, as on some network drives.
      yield
      return
    _held.add(path)
    try:
      file.truncate(0)
      file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
      file.flush()
      yield
    finally:
      _held.discard(path)


def _in_use(folder: pathlib.Path, flag: str, process: str) -> str:
  return (
    f"{flag}={folder} is in use by {process}; wait until it ends, or use "
    f"another {flag}"
  )


@contextlib.contextmanager
def new_folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields an empty folder that becomes `path` if nothing fails.

  An earlier folder at `path` is replaced.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  part = pathlib.Path(
    tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-")
  )
  try:
    part.chmod(0o777 & ~_umask())
    yield part
    if path.exists():
      shutil.rmtree(path)
    part.rename(path)
  finally:
    shutil.rmtree(part, ignore_errors=True)


def digest(path: pathlib.Path) -> str:
  """Returns the XXH3 digest of a file.

  It finds damage at a tenth of the cost of a cryptographic digest. It does not
  protect against someone who changes a file on purpose.
  """
  found = xxhash.xxh3_128()
  with path.open("rb", buffering=0) as file:
    while part := file.read(DIGESTED):
      found.update(part)
  return found.hexdigest()


def with_digest(
  folder: pathlib.Path, stem: str, suffix: str
) -> pathlib.Path | None:
  """Returns the file that `add_digest` has named; None if there is no good one.

  Args:
    folder: of the file.
    stem: its name without the digest and the suffix.
    suffix: such as ".json".
  """
  for path in folder.glob(f"{stem}-*{suffix}"):
    if path.stem.rpartition("-")[2] == digest(path):
      return path
  return None


def add_digest(path: pathlib.Path, stem: str, suffix: str) -> None:
  """Renames a file to its stem, its digest and its suffix."""
  path.rename(path.with_name(f"{stem}-{digest(path)}{suffix}"))


def digests(folder: pathlib.Path) -> dict[str, str]:
  """Returns the digest of every file in a folder, by its relative name."""
  return {
    path.relative_to(folder).as_posix(): digest(path)
    for path in sorted(folder.rglob("*"))
    if path.is_file()
  }


def check(
  folder: pathlib.Path,
  expected: dict[str, str],
  remedy: str,
  rest: pace.Rest = pace.unpaced,
) -> None:
  """Compares the files of a folder with their digests.

  Args:
    folder: of the files.
    expected: digest of each file, by its relative name.
    remedy: what to do about damage; the end of the error.
    rest: is called after each file.

  Raises:
    ValueError: naming the first file that is missing or damaged.
  """
  for name, value in expected.items():
    path = folder / name
    if not path.is_file():
      raise ValueError(f"{path} is missing; {remedy}")
    if digest(path) != value:
      raise ValueError(
        f"{path} is damaged: its digest is not the one that was stored "
        f"with it; {remedy}"
      )
    rest()
