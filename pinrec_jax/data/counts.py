"""How often each of many integers occurs, without keeping them."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float, Int

BUFFER = 1 << 20  # values held before they are counted


class Counts:
  """Exact counts of integers; memory grows with how many differ."""

  def __init__(self, values: Int[np.ndarray, "_"] | None = None):
    self._value = np.zeros(0, np.int64)
    self._count = np.zeros(0, np.int64)
    self._waiting = []
    self._held = 0
    if values is not None:
      self.add(values)

  def add(self, values: Int[np.ndarray, "_"]) -> None:
    """Counts some more."""
    self._waiting.append(np.asarray(values, np.int64))
    self._held += len(values)
    if self._held > BUFFER:
      self._settle()

  def __add__(self, other: "Counts") -> "Counts":
    found = Counts()
    found._join([self.values, other.values], [self.counts, other.counts])
    return found

  @property
  def values(self) -> Int[np.ndarray, "n"]:
    """The different values, smallest first."""
    self._settle()
    return self._value

  @property
  def counts(self) -> Int[np.ndarray, "n"]:
    """How often each occurred."""
    self._settle()
    return self._count

  @property
  def total(self) -> int:
    """How many were counted."""
    return int(self.counts.sum())

  @property
  def mean(self) -> float:
    """Their mean."""
    return float(self.values @ self.counts) / self.total

  def percentiles(
    self, percents: Iterable[float | int]
  ) -> Float[np.ndarray, "p"]:
    """Returns percentiles, between two values by their distance."""
    place = np.asarray(list(percents)) / 100 * (self.total - 1)
    ends = np.cumsum(self.counts)
    below, above = (
      self.values[np.searchsorted(ends, at, side="right")].astype(float)
      for at in (np.floor(place), np.ceil(place))
    )
    return below + (above - below) * (place % 1)

  def __getstate__(self) -> Sequence[Int[np.ndarray, "n"]]:
    return self.values, self.counts

  def __setstate__(self, state: Sequence[Int[np.ndarray, "n"]]) -> None:
    self.__init__()
    self._value, self._count = state

  def _settle(self) -> None:
    if self._waiting:
      found = np.unique(np.concatenate(self._waiting), return_counts=True)
      self._waiting, self._held = [], 0
      value, count = found
      self._join([self._value, value], [self._count, count])

  def _join(
    self,
    values: Sequence[Int[np.ndarray, "_"]],
    counts: Sequence[Int[np.ndarray, "_"]],
  ) -> None:
    value, place = np.unique(np.concatenate(values), return_inverse=True)
    self._value = value
    self._count = np.zeros(len(value), np.int64)
    np.add.at(self._count, place, np.concatenate(counts))
