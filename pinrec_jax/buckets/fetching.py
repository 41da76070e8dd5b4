"""From a bucket to its local copy."""

import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Container, Iterable

from absl import logging

from pinrec_jax import files
from pinrec_jax.buckets import index as index_lib
from pinrec_jax.buckets import layout, objects

PART = ".bucket-"  # Begins the name of a folder of downloads.
ASIDE = ".aside"  # In it, a folder that is deleted.
ATTEMPTS = 4  # Another machine may delete objects that were listed.

Wanted = Callable[[Collection[str]], Container[str]]


def fetch(
  bucket: objects.Objects,
  folder: pathlib.Path,
  index: index_lib.Index,
  *,
  wanted: Wanted,
  ours: Callable[[], bool],
) -> None:
  """Brings a local copy into agreement with its bucket.

  What changed in the bucket is downloaded, and what was deleted there is
  deleted. What changed locally stays. A file that changed on both sides stays
  if `ours`, and is replaced with a message otherwise.

  Args:
    bucket: the objects.
    folder: the local copy.
    index: of the copy. It is changed.
    wanted: from the names of all objects to those that the copy has.
    ours: whether no other copy was used for training after this one; it is
      called if need be.

  Raises:
    OSError: naming the address, if it cannot be read.
    ValueError: if an object has no place on a local disk.
  """
  for left in folder.glob(f"{PART}*"):  # By a killed process.
    shutil.rmtree(left, ignore_errors=True)
  for attempt in range(ATTEMPTS):
    part = pathlib.Path(tempfile.mkdtemp(dir=folder, prefix=PART))
    try:
      _Fetch(bucket, folder, index, part, wanted=wanted, ours=ours).run()
    except FileNotFoundError:  # It was deleted after it was listed.
      if attempt == ATTEMPTS - 1:
        raise
    else:
      return
    finally:
      shutil.rmtree(part, ignore_errors=True)


class _Fetch:
  """One attempt to fetch; the arguments are those of `fetch`."""

  def __init__(
    self,
    bucket: objects.Objects,
    folder: pathlib.Path,
    index: index_lib.Index,
    part: pathlib.Path,
    *,
    wanted: Wanted,
    ours: Callable[[], bool],
  ) -> None:
    self._bucket, self._folder, self._index = bucket, folder, index
    self._part, self._wanted, self._ours = part, wanted, ours

  def run(self) -> None:
    """Downloads, checks and moves files into place."""
    # A file that names others is downloaded before the listing that has to
    # contain them.
    there = self._bucket.list()
    late = [n for n in self._outdated(there) if layout.stage(n) > 1]
    self._bucket.download(late, self._part)
    after = self._bucket.list() if late else there
    names = self._outdated(after)
    first = [name for name in names if name not in late]
    if first:
      size = sum(after[name].size for name in first) / 1e6
      logging.info(
        "%s: downloading %d files, %.1f MB",
        self._bucket.address, len(first), size,
      )  # fmt: skip
    self._bucket.download(first, self._part)
    self._check(names)
    versions = {n: (there if n in late else after)[n].version for n in names}
    self._install(versions)
    self._delete(after)

  def _outdated(self, there: dict[str, objects.Entry]) -> list[str]:
    """Returns the names of the objects to download."""
    local, known = index_lib.scan(self._folder), self._index.files
    wanted, found = self._wanted(there), []
    for name, entry in there.items():
      whole = layout.is_copied(name) and layout.is_whole(name, there)
      if not whole or name not in wanted:
        continue
      if name in local:
        if name in known and known[name].version == entry.version:
          continue
        if self._index.is_changed(name, local[name]) and self._ours():
          continue
      found.append(name)
    checkpoints = {layout.checkpoint(name) for name in found} - {""}
    more = [name for name in there if layout.checkpoint(name) in checkpoints]
    return sorted({*found, *more})

  def _check(self, names: Iterable[str]) -> None:
    """Names objects of checkpoints that do not agree with their digests.

    Whoever reads the checkpoint finds the damage, too, and uses another one.
    """
    for folder in {layout.checkpoint(name) for name in names} - {""}:
      path = self._part / layout.seal(f"{folder}/.")
      for name, digest in _digests(path).items():
        file = self._part / folder / name
        if not file.is_file() or files.digest(file) != digest:
          print(
            f"{self._bucket.address}/{folder}/{name} is missing or damaged: it "
            "does not agree with the digest that was stored with it",
            file=sys.stderr,
          )

  def _install(self, versions: dict[str, str]) -> None:
    """Moves downloaded files to their places."""
    checkpoints = {layout.checkpoint(name) for name in versions} - {""}
    for folder in sorted(checkpoints):
      self._say_if_lost(layout.seal(f"{folder}/."))
      place = self._folder / folder
      if place.exists():
        place.rename(self._part / ASIDE)
        shutil.rmtree(self._part / ASIDE)
      place.parent.mkdir(parents=True, exist_ok=True)
      (self._part / folder).rename(place)
    others = [n for n in versions if layout.checkpoint(n) not in checkpoints]
    for name in (name for stage in layout.stages(others) for name in stage):
      place = self._folder / name
      self._say_if_lost(name)
      place.parent.mkdir(parents=True, exist_ok=True)
      os.replace(self._part / name, place)
    for name, version in versions.items():
      stamp = index_lib.stamp(self._folder / name)
      self._index.files[name] = index_lib.Known(version, stamp)

  def _say_if_lost(self, name: str) -> None:
    """Names a local change that an object replaces."""
    place = self._folder / name
    if (
      place.is_file()
      and self._index.is_changed(name, index_lib.stamp(place))
      and files.digest(place) != files.digest(self._part / name)
    ):
      print(
        f"{place} was not uploaded, and another machine has written "
        f"{self._bucket.address}/{name} since, which replaces it",
        file=sys.stderr,
      )

  def _delete(self, there: dict[str, objects.Entry]) -> None:
    """Deletes local files whose objects were deleted."""
    gone = [name for name in self._index.files if name not in there]
    seals = {layout.seal(name) for name in gone if layout.checkpoint(name)}
    for folder in {layout.checkpoint(s) for s in seals if s in gone}:
      if (self._folder / folder).is_dir():
        (self._folder / folder).rename(self._part / ASIDE)
        shutil.rmtree(self._part / ASIDE)
    for name in gone:
      place = self._folder / name
      if layout.checkpoint(name) and layout.seal(name) in there:
        del self._index.files[name]  # A good file, which is uploaded again.
        continue
      if place.is_file():
        if self._index.is_changed(name, index_lib.stamp(place)):
          continue  # It will be uploaded again.
        place.unlink()
        _remove_empty(place.parent, self._folder)
      del self._index.files[name]


def _digests(path: pathlib.Path) -> dict[str, str]:
  """Returns the digests of a seal; none if it is damaged itself."""
  try:
    found = files.read_json(path)
  except (OSError, ValueError):
    return {}
  return {n: x for n, x in found.items() if n not in layout.WITHOUT_DIGEST}


def _remove_empty(folder: pathlib.Path, root: pathlib.Path) -> None:
  """Deletes folders without files, up to the root."""
  while folder != root and not any(folder.iterdir()):
    folder.rmdir()
    folder = folder.parent
