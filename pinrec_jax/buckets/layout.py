"""The files of a work folder: which are copied, and in which order.

A checkpoint or a bundle is valid as a whole only. The file that makes it valid
is its seal, which is uploaded last. Without its seal, it is not there.
"""

import re
from collections.abc import Collection, Container, Iterable, Iterator

SEALS = {"checkpoints": "digests.json", "bundles": "manifest.xxh3"}
# The manifest of a bundle is always copied, and the rest when it is read.
MANIFEST = "manifest.json"
MANIFESTS = (MANIFEST, SEALS["bundles"])
CURRENT = "current"  # Names the bundle that is in use.
# Later files name earlier ones, so they are uploaded later.
LATE = (
  (MANIFEST, *SEALS.values()),
  ("day.json",),
  (CURRENT, "days.jsonl"),
  ("report.json",),
)
# Of a checkpoint; Orbax writes them after the digests.
WITHOUT_DIGEST = ("_CHECKPOINT_METADATA", "commit_success.txt")
UNFINISHED = ".orbax-checkpoint-tmp"  # In the name of a folder.
STORE = "store.sqlite"  # Of a server; it needs a local disk.
_SEALED = re.compile(r"((?:.*/)?(checkpoints|bundles)/[^/]+)/.")


def is_copied(name: str) -> bool:
  """Whether a file of a work folder belongs into the bucket."""
  parts = name.split("/")
  hidden = any(part[0] == "." or UNFINISHED in part for part in parts)
  return not hidden and not parts[-1].startswith(STORE)


def stage(name: str) -> int:
  """Returns the stage of a copy in which a file comes; 0 is the first."""
  last = name.rpartition("/")[2]
  return next((n for n, late in enumerate(LATE, 1) if last in late), 0)


def stages(names: Iterable[str]) -> Iterator[list[str]]:
  """Yields the files of each stage that has any, in order."""
  found: list[list[str]] = [[] for _ in range(len(LATE) + 1)]
  for name in sorted(names):
    found[stage(name)].append(name)
  yield from filter(None, found)


def checkpoint(name: str) -> str:
  """Returns the folder of the checkpoint of a file; "" if it is of none."""
  found = _SEALED.match(name)
  return found[1] if found and found[2] == "checkpoints" else ""


def seal(name: str) -> str:
  """Returns the seal of the checkpoint or bundle of a file; "" without one."""
  found = _SEALED.match(name)
  return f"{found[1]}/{SEALS[found[2]]}" if found else ""


def is_whole(name: str, there: Container[str]) -> bool:
  """Whether a file is in no checkpoint or bundle, or in one with its seal."""
  own = seal(name)
  return not own or own in there


def at_start(there: Collection[str]) -> set[str]:
  """Returns what a copy of a work folder has before a bundle is read."""
  return {*there} - _bundle_content(there)


def pointers(there: Collection[str]) -> set[str]:
  """Returns the manifests of all bundles, and which bundle is in use."""
  names = (*MANIFESTS, CURRENT)
  return {name for name in there if name.rpartition("/")[2] in names}


def _bundle_content(there: Collection[str]) -> set[str]:
  """Returns the files of bundles without their manifests."""
  folders = {
    name.rpartition("/")[0]
    for name in there
    if name.rpartition("/")[2] == SEALS["bundles"]
  }
  return {
    name
    for name in there
    if not folders.isdisjoint(_parents(name))
    and name.rpartition("/")[2] not in MANIFESTS
  }


def _parents(name: str) -> Iterator[str]:
  while name:
    name = name.rpartition("/")[0]
    yield name
