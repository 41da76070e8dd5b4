"""The events of all users in files that are read where they lie.

A prepared log opens at once, however large it is. Only the events that are read
come into memory.

A checksum of every column is stored per block of events. Small logs are checked
when they are opened. In larger ones a block is checked when it is first read,
so that opening stays fast.
"""

import contextlib
import itertools
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, overload

import numpy as np
import pandas as pd
import xxhash
from jaxtyping import Int, Shaped, UInt64

from pinrec_jax import files
from pinrec_jax.data import histories, schema

FOLDER, MANIFEST, USERS = "events", "digests.json", "users.parquet"
BLOCK = 1 << 16  # Events of which each column has one checksum.
AT_ONCE = 1 << 24  # Bytes of columns that are checked when a log is opened.


class DamagedError(ValueError):
  """A prepared log is not as it was written; the next run prepares it again."""


class Packed(Sequence[Any]):
  """All users' events; each column of all users lies end to end.

  The type of an element is left open: checkers of types would read a user, and
  a user's blocks are checked against damage when they are read.
  """

  def __init__(
    self,
    folder: pathlib.Path,
    columns: dict[str, Shaped[np.ndarray, "_ ..."]],
    ends: Int[np.ndarray, "u"],
    order: Sequence[int],
    checksums: UInt64[np.ndarray, "_ _"],
  ):
    self._folder, self._columns = folder, columns
    self._ends = ends[order]
    self._starts = np.append(0, ends[:-1])[order]
    self._checksums = checksums
    self._checked = bytearray(len(checksums))
    if sum(column.nbytes for column in _mapped(columns).values()) < AT_ONCE:
      self._check(0, int(ends.max(initial=0)))

  def __len__(self) -> int:
    return len(self._ends)

  @overload
  def __getitem__(self, place: int) -> schema.Events: ...
  @overload
  def __getitem__(self, place: slice) -> Sequence[schema.Events]: ...
  def __getitem__(self, place: Any) -> Any:
    if isinstance(place, slice):
      return [self[n] for n in range(*place.indices(len(self)))]
    start, end = int(self._starts[place]), int(self._ends[place])
    self._check(start, end)
    return schema.Events(
      **{
        name: np.asarray(column[start:end], schema.COLUMNS[name]["dtype"])
        for name, column in self._columns.items()
      }
    )

  def check(self) -> None:
    """Checks all events.

    Raises:
      DamagedError: naming a damaged file.
    """
    self._check(0, int(self._ends.max(initial=0)))

  def _check(self, start: int, end: int) -> None:
    """Checks the blocks of some events that were not checked before.

    Raises:
      DamagedError: naming the file. The manifest is deleted, so that the next
        run prepares the log again.
    """
    for block in range(start // BLOCK, -(-end // BLOCK)):
      if self._checked[block]:
        continue
      good = _checksums(self._columns, block) == self._checksums[block]
      if not good.all():
        name = list(_mapped(self._columns))[int(np.argmin(good))]
        (self._folder / MANIFEST).unlink(missing_ok=True)
        raise DamagedError(
          f"{self._folder / FOLDER / name} is damaged: its checksum is not the "
          "stored one. The log is prepared again when you run again"
        )
      self._checked[block] = 1


def _mapped(
  columns: dict[str, Shaped[np.ndarray, "_ ..."]],
) -> dict[str, Shaped[np.ndarray, "_ ..."]]:
  """Returns the columns that are files; the others repeat one value."""
  return {name: c for name, c in columns.items() if c.strides[0]}


def _checksums(
  columns: dict[str, Shaped[np.ndarray, "_ ..."]], block: int
) -> UInt64[np.ndarray, "_"]:
  """Returns the XXH3 checksum of a block of each column that is a file."""
  part = slice(block * BLOCK, (block + 1) * BLOCK)
  own = [np.ascontiguousarray(c[part]).data for c in _mapped(columns).values()]
  return np.array([xxhash.xxh3_64_intdigest(x) for x in own], np.uint64)


class Writer:
  """Writes the events of users, some whole users at a time.

  A column has a file only if it has more than one value.
  """

  def __init__(self, folder: pathlib.Path, stack: contextlib.ExitStack):
    self._folder, self._stack = folder, stack
    self._users: list[str] = []
    self._ends, self._end = [], 0
    self._shapes: dict[str, tuple[int, ...]] = {}
    self._first: dict[str, Any] = {}
    self._files: dict[str, IO[bytes]] = {}

  def add(
    self,
    users: Sequence[str],
    ends: Int[np.ndarray, "u"],
    events: schema.Events,
  ) -> None:
    """Writes users' events; `ends` is where each user's events end."""
    self._users += users
    self._ends.append(self._end + np.asarray(ends))
    for name, column in schema.COLUMNS.items():
      own = getattr(events, name).astype(column["compact"], copy=False)
      self._shapes[name] = own.shape[1:]
      if name not in self._files and len(own):
        first = self._first.setdefault(name, own[0].tolist())
        if (own == np.array(first)).all():
          continue
        self._files[name] = self._begin(name, np.array(first, own.dtype))
      if name in self._files:
        self._files[name].write(np.ascontiguousarray(own).data)
    self._end += len(events)

  def _begin(self, name: str, first: Shaped[np.ndarray, "..."]) -> IO[bytes]:
    """Opens the file of a column that had one value so far."""
    file = self._stack.enter_context((self._folder / name).open("wb"))
    for start in range(0, self._end, BLOCK):
      size = min(BLOCK, self._end - start)
      file.write(np.repeat(first[None], size, axis=0).data)
    return file

  def finish(self) -> None:
    """Writes the other files."""
    shapes = {
      name: {
        "dtype": np.dtype(schema.COLUMNS[name]["compact"]).str,
        "rest": list(rest),
        "value": None if name in self._files else self._first.get(name, 0),
      }
      for name, rest in self._shapes.items()
    }
    ends = np.concatenate([*self._ends, np.zeros(0, np.int64)])
    users = pd.DataFrame({"user": self._users, "end": ends.astype(np.int64)})
    users.to_parquet(self._folder / USERS, index=False)
    columns = _columns(self._folder, shapes, self._end)
    found = [_checksums(columns, n) for n in range(-(-self._end // BLOCK))]
    shape = (len(found), len(_mapped(columns)))
    table = np.array(found, np.uint64).reshape(shape)
    np.save(self._folder / "checksums.npy", table)
    files.write_json(self._folder / "columns.json", shapes)


@contextlib.contextmanager
def writing(folder: pathlib.Path) -> Iterator[Writer]:
  """Yields a writer; its files are in `folder` if nothing fails."""
  with files.new_folder(folder / FOLDER) as part:
    with contextlib.ExitStack() as stack:
      writer = Writer(part, stack)
      yield writer
    writer.finish()


def save(
  folder: pathlib.Path, users: Iterable[tuple[str, schema.Events]]
) -> None:
  """Writes every user's events; all of them or none."""
  left = iter(users)
  with writing(folder) as writer:
    while some := list(itertools.islice(left, histories.USERS)):
      names, events = zip(*some, strict=True)
      ends = np.cumsum([len(own) for own in events])
      writer.add(names, ends, histories.joined(events))


def finish(folder: pathlib.Path) -> None:
  """Marks a prepared log as complete, and stores digests of its small files."""
  small = [p for p in folder.iterdir() if p.suffix in (".json", ".parquet")]
  small += [p for p in (folder / FOLDER).iterdir() if p.suffix]
  found = {str(p.relative_to(folder)): files.digest(p) for p in small}
  found.pop(MANIFEST, None)
  files.write_json(folder / MANIFEST, found)


def is_finished(folder: pathlib.Path) -> bool:
  """Whether a prepared log is complete.

  Raises:
    DamagedError: naming the first of its small files that is damaged.
  """
  if not (folder / MANIFEST).is_file():
    return False
  try:
    found = files.read_json(folder / MANIFEST)
    files.check(folder, found, "the log is prepared again")
  except ValueError as error:
    raise DamagedError(str(error)) from error
  return True


def check(folder: pathlib.Path) -> None:
  """Checks every byte of the events of a prepared log.

  Raises:
    DamagedError: naming a damaged file.
  """
  if not is_finished(folder):
    raise DamagedError(f"{folder / MANIFEST} is missing")
  load(folder)[1].check()


def load(folder: pathlib.Path) -> tuple[tuple[str, ...], Packed]:
  """Returns the users, sorted, and the events of each.

  Raises:
    DamagedError: naming a damaged file.
  """
  path = folder / FOLDER
  table = pd.read_parquet(path / USERS)
  users, ends = table["user"].tolist(), table["end"].to_numpy()
  order = sorted(range(len(users)), key=users.__getitem__)
  shapes = files.read_json(path / "columns.json")
  columns = _columns(path, shapes, int(ends.max(initial=0)))
  checksums = np.load(path / "checksums.npy")
  packed = Packed(folder, columns, ends, order, checksums)
  return tuple(users[n] for n in order), packed


def _columns(
  path: pathlib.Path, shapes: dict[str, Any], size: int
) -> dict[str, Shaped[np.ndarray, "_ ..."]]:
  """Returns the columns: mapped from disk, or of one value."""
  columns = {}
  for name, column in shapes.items():
    shape, dtype = (size, *column["rest"]), np.dtype(column["dtype"])
    if column["value"] is None:
      if not (path / name).is_file():
        raise DamagedError(f"{path / name} is missing")
      if (path / name).stat().st_size != np.prod(shape) * dtype.itemsize:
        raise DamagedError(f"{path / name} is damaged: its size is wrong")
      mapped = np.memmap(path / name, dtype, "r", shape=shape)
      columns[name] = mapped.view(np.ndarray)
    else:
      value = np.array(column["value"], dtype)
      columns[name] = np.broadcast_to(value, shape)
  return columns
