"""From a local copy to its bucket."""

import pathlib

from absl import logging

from pinrec_jax.buckets import index as index_lib
from pinrec_jax.buckets import layout, objects

ATTEMPTS = 4  # A checkpoint may be deleted while it is uploaded.


def push(
  bucket: objects.Objects,
  folder: pathlib.Path,
  index: index_lib.Index,
  inside: str = ".",
) -> None:
  """Uploads what changed in a local copy, and deletes what was deleted.

  Content is uploaded first, then the seals, and then the files that name
  others. Seals are deleted first. So whoever reads the bucket at any moment, or
  after the process was killed, finds the earlier or the new state.

  Args:
    bucket: the objects.
    folder: the local copy.
    index: of the copy. It is changed.
    inside: folder of the copy to which this is limited.

  Raises:
    OSError: naming the address, if it cannot be written.
  """
  start = "" if inside == "." else f"{inside}/"
  for attempt in range(ATTEMPTS):
    local = index_lib.scan(folder)
    changed = {
      name: folder / name
      for name, stamp in local.items()
      if name.startswith(start)
      and index.is_changed(name, stamp)
      and layout.is_whole(name, local)
    }
    gone = [n for n in index.files if n.startswith(start) and n not in local]
    try:
      _push(bucket, index, changed, gone)
    except FileNotFoundError:
      lost = any(not path.exists() for path in changed.values())
      if not lost or attempt == ATTEMPTS - 1:
        raise
    else:
      return


def _push(
  bucket: objects.Objects,
  index: index_lib.Index,
  changed: dict[str, pathlib.Path],
  gone: list[str],
) -> None:
  if not changed and not gone:
    return
  stamps = {name: index_lib.stamp(path) for name, path in changed.items()}
  size = sum(own for own, _ in stamps.values()) / 1e6
  logging.info(
    "%s: uploading %d files, %.1f MB", bucket.address, len(changed), size
  )
  for stage in layout.stages(changed):
    bucket.upload({name: changed[name] for name in stage})
  seals = [name for name in gone if name == layout.seal(name)]
  bucket.delete(seals)
  bucket.delete(name for name in gone if name not in seals)
  there = bucket.list()
  for name in changed:
    # A file that grows may be longer than it was.
    if name not in there or there[name].size < stamps[name][0]:
      raise ConnectionError(
        f"{bucket.address}/{name} was uploaded and is not whole in the bucket; "
        "run the same command again, and let no other program write there"
      )
    index.files[name] = index_lib.Known(there[name].version, stamps[name])
  for name in gone:
    if name in there:
      raise PermissionError(
        f"{bucket.address}/{name} cannot be deleted; set credentials that may "
        "delete objects"
      )
    del index.files[name]
