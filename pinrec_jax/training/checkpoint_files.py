"""The files of checkpoints: their digests, and what happens to damaged ones."""

import contextlib
import glob
import itertools
import pathlib
import tempfile
from collections.abc import Iterator
from concurrent import futures
from typing import Any

from pinrec_jax import files

DIGESTS = "digests.json"
# Orbax writes them last, and reads a checkpoint without them.
LAST = ("_CHECKPOINT_METADATA", "commit_success.txt")
SMALL = 1 << 16  # Bytes up to which a file is checked when a run is opened.
UNFINISHED = ".orbax-checkpoint-tmp"  # In the name of a folder.


class DamagedError(ValueError):
  """A checkpoint is not as it was written."""


def steps(folder: pathlib.Path) -> list[int]:
  """Returns the steps of a folder of checkpoints, the last one first."""
  names = [path.name for path in folder.iterdir() if path.is_dir()]
  return sorted((int(name) for name in names if name.isdigit()), reverse=True)


def write_digests(folder: pathlib.Path) -> None:
  """Stores the digests of all checkpoints that are about to be finished."""
  for part in folder.glob(f"*{UNFINISHED}*"):
    if not (part / DIGESTS).exists():
      files.write_json(part / DIGESTS, files.digests(part))


def check(
  folder: pathlib.Path, *, small: bool = True, large: bool = True
) -> None:
  """Compares the files of a checkpoint with their digests.

  Args:
    folder: of the checkpoint.
    small: whether to check small files.
    large: whether to check large files.

  Raises:
    DamagedError: naming the first file that is missing or damaged.
  """
  if not any(folder.iterdir()):
    raise DamagedError(f"{folder} is empty")
  try:
    for name, digest in _digests(folder).items():
      path = folder / name
      size = path.stat().st_size if path.is_file() else 0
      if large if size > SMALL else small:
        files.check(folder, {name: digest}, "the checkpoint cannot be used")
    if (folder / LAST[0]).is_file():
      files.read_json(folder / LAST[0])
  except ValueError as error:
    raise DamagedError(str(error)) from error


def _digests(folder: pathlib.Path) -> dict[str, str]:
  """Returns the stored digests; none for a checkpoint of other software."""
  if not (folder / DIGESTS).is_file():
    return {}
  stored = files.read_json(folder / DIGESTS)
  return {name: digest for name, digest in stored.items() if name not in LAST}


def require_digests(folder: pathlib.Path) -> None:
  """Raises DamagedError if a checkpoint has no digests."""
  if not _digests(folder):
    raise DamagedError(f"{folder / DIGESTS} is missing")


@contextlib.contextmanager
def checked(folder: pathlib.Path) -> Iterator[None]:
  """Checks the large files of a checkpoint while the caller reads it.

  Raises:
    DamagedError: naming a damaged file, instead of any error of the caller.
  """
  with futures.ThreadPoolExecutor(1) as pool:
    checking = pool.submit(check, folder, small=False)
    try:
      yield
    except Exception:
      checking.result()
      raise
    checking.result()


def set_aside(folder: pathlib.Path) -> pathlib.Path:
  """Renames a damaged checkpoint, so that nothing reads it; returns its place.

  It goes beside the folder of checkpoints, where Orbax does not look.
  """
  stem = folder.parent.parent / f"damaged-{folder.name}"
  place = stem
  for number in itertools.count(2):
    if not place.exists():
      break
    place = stem.with_name(f"{stem.name}-{number}")
  return folder.rename(place)


class Plain:
  """A path of a folder in which no sign has a meaning in patterns.

  Orbax looks for files by patterns, so it does not find those of "runs/[1]".

  Attributes:
    path: the folder itself, or a link to it.
  """

  def __init__(self, folder: pathlib.Path) -> None:
    self.path, self._links = folder, None
    if glob.escape(str(folder)) != str(folder):
      self._links: Any = tempfile.TemporaryDirectory(prefix="pinrec_jax-")
      self.path = pathlib.Path(self._links.name) / "checkpoints"
      self.path.symlink_to(folder, target_is_directory=True)

  def close(self) -> None:
    """Deletes the link."""
    if self._links:
      self._links.cleanup()
