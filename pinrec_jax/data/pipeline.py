"""Batches for training: packed, shuffled, and a function of (seed, step)."""

from typing import Any

import grain

from pinrec_jax.data import packing, schema


class PackedRows:
  """A random-access source of rows [length], each of several histories."""

  def __init__(self, pieces: packing.Pieces, length: int, seed: int) -> None:
    """Packs pieces.

    Args:
      pieces: of histories.
      length: positions of a row.
      seed: of the packing.
    """
    self._pieces, self._length = pieces, length
    self._rows = pieces.rows(length, seed)

  def __len__(self) -> int:
    return len(self._rows.ends)

  def __getitem__(self, index: int) -> schema.Batch:
    places, ends = self._rows
    first = ends[index - 1] if index else 0
    own = places[first : ends[index]].tolist()
    return packing.row([self._pieces.read(n) for n in own], self._length)

  @property
  def filled(self) -> float:
    """The fraction of positions that hold an event."""
    return self._pieces.positions / (len(self) * self._length)


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
