"""The files that a prepared custom log has read.

A log that grows gets new files. The earlier ones stay as they were, so that
their rows are read once.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pinrec_jax import config as config_lib
from pinrec_jax import files
from pinrec_jax.data import sources

FILE = "inputs.json"
REMEDY = (
  "Put the file back as it was, and add new rows as new files; or prepare the "
  "log again, by training a new run with another --workdir"
)


class Read(NamedTuple):
  """A file as it was read.

  Attributes:
    size: in bytes.
    changed: its time of change, in nanoseconds.
    digest: digest of its content.
  """

  size: int
  changed: int
  digest: str


@dataclasses.dataclass(frozen=True)
class Inputs:
  """What a prepared log was made from.

  Attributes:
    events: all event files by path, those of earlier days included.
    items: the files of the item table by path.
    shift: seconds that were added to every time.
    daily: whether times are days.
    earlier: folders of the earlier days, oldest first, relative to this one.
  """

  events: Mapping[str, Read]
  items: Mapping[str, Read]
  shift: int = 0
  daily: bool = False
  earlier: Sequence[str] = ()

  def after(
    self, before: "Inputs", folder: pathlib.Path, own: pathlib.Path
  ) -> "Inputs":
    """Returns the inputs of a day that follows an earlier one.

    Args:
      before: inputs of the earlier day.
      folder: of the earlier day.
      own: folder of this day.
    """
    start = folder.absolute()
    chain = [start / name for name in before.earlier] + [start]
    base = own.absolute()
    return dataclasses.replace(
      self,
      events={**before.events, **self.events},
      earlier=[os.path.relpath(one.resolve(), base.resolve()) for one in chain],
    )

  def save(self, folder: pathlib.Path) -> None:
    """Writes the inputs beside the prepared log."""
    files.write_json(folder / FILE, dataclasses.asdict(self))


def load(folder: pathlib.Path) -> Inputs | None:
  """Reads what `save` wrote; None for a log that is not a custom log."""
  path = folder / FILE
  if not path.is_file():
    return None
  found = files.read_json(path)
  for name in ("events", "items"):
    found[name] = {key: Read(*read) for key, read in found[name].items()}
  return Inputs(**found)


class New(NamedTuple):
  """What a log gains.

  Attributes:
    events: new event files.
    repeated: new event files whose content was read before.
    items: whether the item table has changed.
  """

  events: list[pathlib.Path]
  repeated: list[pathlib.Path]
  items: bool

  def __bool__(self) -> bool:
    return bool(self.events) or self.items


def new_files(data: config_lib.Data, known: Inputs) -> New:
  """Returns the files that a prepared log has not read.

  Raises:
    FileNotFoundError: if there is no file.
    ValueError: naming an earlier file that has changed or is missing.
  """
  paths = sources.files(data.events, "events")[0]
  digests = _digests(paths, known.events)
  problems = []
  for name, read in known.events.items():
    if name in digests and digests[name] != read.digest:
      problems.append(f"{name} has changed since it was read")
    elif name not in digests and read.digest not in digests.values():
      problems.append(f"{name} is missing")
  if problems:
    raise ValueError(
      f"config.data.events is {data.events!r}, and of the files of earlier "
      f"days, {problems[0]} (files like this: {len(problems)}). {REMEDY}"
    )
  seen = {read.digest for read in known.events.values()}
  events, repeated = [], []
  for path in paths:
    digest = digests[_key(path)]
    if _key(path) in known.events:
      continue
    (repeated if digest in seen else events).append(path)
    seen.add(digest)
  tables = sources.files(data.items, "items")[0] if data.items else []
  before = sorted(read.digest for read in known.items.values())
  now = sorted(_digests(tables, known.items).values())
  return New(events, repeated, before != now)


def _key(path: pathlib.Path) -> str:
  return os.path.abspath(path)


def _digests(
  paths: Sequence[pathlib.Path], known: Mapping[str, Read]
) -> dict[str, str]:
  """Returns the digests of files; those that are as before are not read."""
  found = {}
  for path in paths:
    name, stat = _key(path), path.stat()
    own = known.get(name)
    same = own and own[:2] == (stat.st_size, stat.st_mtime_ns)
    found[name] = own.digest if own and same else files.digest(path)
  return found


def stamps(paths: Sequence[pathlib.Path]) -> list[tuple[int, int]]:
  """Returns the size and the time of change of each file."""
  found = [path.stat() for path in paths]
  return [(stat.st_size, stat.st_mtime_ns) for stat in found]


def read(
  paths: Sequence[pathlib.Path], before: Sequence[tuple[int, int]]
) -> dict[str, Read]:
  """Returns files that were read just now, with their digests.

  Args:
    paths: of the files.
    before: their `stamps` before they were read.

  Raises:
    ValueError: naming a file that changed while it was read.
  """
  found = {_key(path): files.digest(path) for path in paths}
  for path, old, new in zip(paths, before, stamps(paths), strict=True):
    if old != new:
      raise ValueError(
        f"{path} changed while it was read, so rows may be missing; run again "
        "once the file is complete. Write files elsewhere and move them here"
      )
  return {
    name: Read(*stamp, digest)
    for (name, digest), stamp in zip(found.items(), before, strict=True)
  }
