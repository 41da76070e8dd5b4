"""Batches for training: packed, shuffled, and a function of (seed, step)."""

import collections
import functools
from collections.abc import Sequence
from typing import Any

import grain
import jax
import numpy as np
from jaxtyping import Shaped

from pinrec_jax.data import schema


def pack(lengths: Sequence[int], capacity: int, seed: int) -> list[list[int]]:
  """Groups pieces into rows, best fit in random order.

  Returns:
    the places of each row's pieces; their lengths sum to at most `capacity`.
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


def _padded(
  length: int, column: Shaped[np.ndarray, "_ ..."]
) -> Shaped[np.ndarray, "l ..."]:
  pad = length - len(column)
  return np.pad(column, [(0, pad)] + [(0, 0)] * (column.ndim - 1))


class PackedRows:
  """A random-access source of rows [length], each of several histories."""

  def __init__(
    self, pieces: Sequence[schema.Batch], length: int, seed: int
  ) -> None:
    self._pieces = pieces
    self._length = length
    self._rows = pack([p.tokens.item.size for p in pieces], length, seed)

  def __len__(self) -> int:
    return len(self._rows)

  def __getitem__(self, index: int) -> schema.Batch:
    pieces = [self._pieces[place] for place in self._rows[index]]
    pieces = [
      piece._replace(
        tokens=piece.tokens._replace(segment=piece.tokens.segment * (n + 1))
      )
      for n, piece in enumerate(pieces)
    ]

    joined = jax.tree.map(lambda *columns: np.concatenate(columns), *pieces)
    return jax.tree.map(functools.partial(_padded, self._length), joined)

  @property
  def filled(self) -> float:
    """The fraction of positions that hold an event."""
    held = sum(p.tokens.item.size for p in self._pieces)
    return held / (len(self._rows) * self._length)


class _OwnRows(grain.MapDataset):
  """The rows of every global batch that a process holds."""

  def __init__(
    self, parent: grain.MapDataset, batch: int, share: int, shares: int
  ) -> None:
    super().__init__(parent)
    self._batch, self._own = batch, batch // shares
    self._first = share * self._own

  def __len__(self) -> int:
    return len(self._parent) // self._batch * self._own

  def __getitem__(self, index: Any) -> Any:
    step, place = divmod(index, self._own)
    return self._parent[step * self._batch + self._first + place]


def batches(
  rows: PackedRows,
  *,
  batch: int,
  seed: int,
  share: int = 0,
  shares: int = 1,
  workers: int = 0,
) -> grain.DatasetIterator[schema.Batch]:
  """Returns this process's share of an endless stream of batches.

  Together the shares are the same rows in the same order, however many they
  are. The iterator's `get_state` and `set_state` resume it exactly.

  Args:
    rows: what to shuffle; every epoch shows each row once.
    batch: rows of the global batch.
    seed: of the shuffle.
    share: this process's, as `sharding.row_share` says.
    shares: how many there are; divides `batch`.
    workers: Grain worker processes; 0 reads in threads.
  """
  data = grain.MapDataset.source(rows).seed(seed).shuffle().repeat()
  own = _OwnRows(data, batch, share, shares)
  stream = own.batch(batch // shares).to_iter_dataset(
    grain.ReadOptions(num_threads=2, prefetch_buffer_size=16)
  )
  if workers:
    stream = stream.mp_prefetch(
      grain.multiprocessing.MultiprocessingOptions(num_workers=workers)
    )
  return iter(stream)
