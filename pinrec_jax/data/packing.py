"""Training histories in pieces, which are packed into rows.

The pieces of a log are written to a file once. A piece is read when it is
needed, so memory does not grow with the log.
"""

import collections
import contextlib
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import xxhash
from jaxtyping import Int, Shaped

from pinrec_jax import files
from pinrec_jax.data import schema

RECORDS, COUNTS, ABOUT = "records", "counts.npz", "about.json"
ENDS, CHECKSUMS = "ends.npy", "checksums.npy"
ROWS = "rows-{seed}-{length}"
SEPARATOR = "."  # Between a part of a batch and a column of it.


class DamagedError(ValueError):
  """The file of the pieces is not as it was written."""


def pack(lengths: Sequence[int], capacity: int, seed: int) -> list[list[int]]:
  """Groups pieces into rows, best fit in random order.

  Returns:
    The places of each row's pieces. Their lengths sum to at most `capacity`.
  """
  order = np.random.default_rng(seed).permutation(len(lengths))
  rows: list[list[int]] = []
  by_room: dict[int, list[int]] = collections.defaultdict(list)
  for piece in order.tolist():
    need = lengths[piece]
    room = next((r for r in range(need, capacity) if by_room[r]), capacity)
    if room == capacity:
      rows.append([])
      row = len(rows) - 1
    else:
      row = by_room[room].pop()
    rows[row].append(piece)
    by_room[room - need].append(row)
  return rows


class Rows(NamedTuple):
  """Which pieces each row has.

  Attributes:
    places: of the pieces, row after row.
    ends: where the places of each row end.
  """

  places: Int[np.ndarray, "n"]
  ends: Int[np.ndarray, "r"]


class Counts(NamedTuple):
  """What all pieces hold.

  Attributes:
    targets: how often each item is a target.
    shown: how often each item was shown only.
    outcomes: how many targets have each outcome.
  """

  targets: Int[np.ndarray, "v"]
  shown: Int[np.ndarray, "v"]
  outcomes: Int[np.ndarray, "o"]


class InMemory:
  """Pieces of training histories in memory.

  Attributes:
    counts: what all pieces hold.
  """

  def __init__(self, pieces: Iterable[schema.Batch], items: int) -> None:
    """Keeps pieces; `items` is the number of rows of the item table."""
    self._pieces: list[np.ndarray] = []
    self._lengths, self.counts = _added(pieces, items, self._pieces.append)

  def __len__(self) -> int:
    return len(self._pieces)

  @property
  def positions(self) -> int:
    """Number of positions of all pieces."""
    return int(self._lengths.sum())

  def rows(self, length: int, seed: int) -> Rows:
    """Returns rows of at most `length` positions."""
    return _rows(self._lengths, length, seed)

  def read(self, place: int) -> Shaped[np.ndarray, "l"]:
    """Returns a piece as records."""
    return self._pieces[place]


class InFile:
  """Pieces of training histories in files.

  A piece is read with one seek, and its checksum is compared.

  Attributes:
    counts: what all pieces hold.
  """

  def __init__(self, folder: pathlib.Path) -> None:
    """Opens what `write` has written.

    Raises:
      DamagedError: naming the damaged file.
    """
    self._folder = folder
    try:
      about = files.read_json(folder / ABOUT)
      files.check(folder, about["digests"], "it is written again")
    except (KeyError, OSError, ValueError) as error:
      raise DamagedError(f"{folder} is damaged: {error}") from error
    given = about["columns"]
    self._dtype = np.dtype(
      [(name, kind, *map(tuple, shape)) for name, kind, *shape in given]
    )
    with np.load(folder / COUNTS) as counts:
      self.counts = Counts(*(counts[name] for name in Counts._fields))
    # Mapped, because their sizes grow with the log.
    self._ends = np.load(folder / ENDS, mmap_mode="r")
    self._checksums = np.load(folder / CHECKSUMS, mmap_mode="r")
    path = folder / RECORDS
    size = self.positions * self._dtype.itemsize
    if not path.is_file() or path.stat().st_size != size:
      raise DamagedError(f"{path} is damaged: its size is wrong")

  def __len__(self) -> int:
    return len(self._ends)

  @property
  def positions(self) -> int:
    """Number of positions of all pieces."""
    return int(self._ends[-1]) if len(self._ends) else 0

  def rows(self, length: int, seed: int) -> Rows:
    """Returns rows of at most `length` positions, kept beside the pieces.

    A damaged file is written again.
    """
    name = ROWS.format(seed=seed, length=length)
    stems = [f"{name}-{column}" for column in Rows._fields]
    kept = [files.with_digest(self._folder, stem, ".npy") for stem in stems]
    if None not in kept:
      return Rows(*(np.load(path, mmap_mode="r") for path in kept if path))
    found = _rows(np.diff(self._ends, prepend=0), length, seed)
    with contextlib.suppress(OSError):
      for stem, own in zip(stems, found, strict=True):
        path = self._folder / f".{stem}"
        with path.open("wb") as file:
          np.save(file, own)
        files.add_digest(path, stem, ".npy")
    return found

  def read(self, place: int) -> Shaped[np.ndarray, "l"]:
    """Returns a piece as records.

    Raises:
      DamagedError: naming the file, if the piece is not as it was written.
    """
    size = self._dtype.itemsize
    start = int(self._ends[place - 1]) if place else 0
    length = int(self._ends[place]) - start
    # Unlike a mapped file, this leaves no pages in the process. Unlike a file
    # that stays open, it works in all threads and worker processes.
    with (self._folder / RECORDS).open("rb", buffering=0) as file:
      file.seek(start * size)
      data = file.read(length * size)
    if xxhash.xxh3_64_intdigest(data) != self._checksums[place]:
      (self._folder / ABOUT).unlink(missing_ok=True)
      raise DamagedError(
        f"{self._folder / RECORDS} is damaged: a checksum is not the stored "
        "one. It is written again when you run again"
      )
    return np.frombuffer(data, self._dtype)


Pieces = InMemory | InFile


def write(
  folder: pathlib.Path, pieces: Iterable[schema.Batch], items: int
) -> None:
  """Writes pieces for `InFile`; all of them or none.

  Args:
    folder: of the files. It is replaced.
    pieces: at least one.
    items: number of rows of the item table.
  """
  checksums: list[int] = []
  dtype = np.dtype([])
  with files.new_folder(folder) as part:
    with (part / RECORDS).open("wb") as file:

      def _add(records: Shaped[np.ndarray, "l"]) -> None:
        nonlocal dtype
        data, dtype = records.tobytes(), records.dtype
        checksums.append(xxhash.xxh3_64_intdigest(data))
        file.write(data)

      lengths, counts = _added(pieces, items, _add)
    np.savez(part / COUNTS, **counts._asdict())
    np.save(part / ENDS, np.cumsum(lengths))
    np.save(part / CHECKSUMS, np.array(checksums, np.uint64))
    small = COUNTS, ENDS, CHECKSUMS
    about = {
      "columns": dtype.descr,
      "digests": {name: files.digest(part / name) for name in small},
    }
    files.write_json(part / ABOUT, about)


def _rows(lengths: Int[np.ndarray, "n"], length: int, seed: int) -> Rows:
  rows = pack(lengths.tolist(), length, seed)
  places = np.fromiter((n for row in rows for n in row), np.int64, len(lengths))
  return Rows(places, np.cumsum([len(row) for row in rows]))


def _added(
  pieces: Iterable[schema.Batch],
  items: int,
  add: Callable[[Shaped[np.ndarray, "_"]], object],
) -> tuple[Int[np.ndarray, "n"], Counts]:
  """Adds pieces as records; returns their lengths and contents."""
  targets, shown = np.zeros(items, np.int64), np.zeros(items, np.int64)
  outcomes: Any = 0
  lengths = []
  for piece in pieces:
    own = piece.targets
    np.add.at(targets, own.item, 1)
    np.add.at(shown, own.shown, 1)
    found = own.outcomes[own.item != schema.NO_ITEM]
    outcomes = outcomes + found.sum(0, dtype=np.int64)
    lengths.append(own.item.size)
    add(_records(piece))
  targets[schema.NO_ITEM] = shown[schema.NO_ITEM] = 0
  counts = Counts(targets, shown, np.atleast_1d(outcomes))
  return np.array(lengths, np.int64), counts


def _records(piece: schema.Batch) -> Shaped[np.ndarray, "l"]:
  """Returns a piece as an array of records, one for each position."""
  columns = {
    f"{part}{SEPARATOR}{name}": column
    for part, own in piece._asdict().items()
    for name, column in own._asdict().items()
  }
  dtype = [(name, c.dtype, c.shape[1:]) for name, c in columns.items()]
  records = np.zeros(piece.tokens.item.size, dtype)
  for name, column in columns.items():
    records[name] = column
  return records


def row(pieces: Sequence[Shaped[np.ndarray, "_"]], length: int) -> schema.Batch:
  """Returns a row of pieces, one segment each, padded on the right."""
  records, end = np.zeros(length, pieces[0].dtype), 0
  for number, piece in enumerate(pieces, start=1):
    own = records[end : end + len(piece)]
    own[:] = piece
    own["tokens.segment"] *= number
    end += len(piece)
  columns: dict[str, dict[str, Any]] = collections.defaultdict(dict)
  for name in records.dtype.names or ():
    part, _, column = name.partition(SEPARATOR)
    columns[part][column] = np.ascontiguousarray(records[name])
  return schema.Batch(
    schema.Tokens(**columns["tokens"]), schema.Targets(**columns["targets"])
  )
