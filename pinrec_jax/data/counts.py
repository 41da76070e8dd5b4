"""How often each of many integers occurs."""

import dataclasses
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int


@dataclasses.dataclass(frozen=True)
class Counts:
  """Exact counts of integers; memory grows with the number of distinct ones.

  Attributes:
    values: the distinct values, smallest first.
    counts: how often each occurs.
  """

  values: Int[np.ndarray, "n"] = dataclasses.field(
    default_factory=lambda: np.zeros(0, np.int64)
  )
  counts: Int[np.ndarray, "n"] = dataclasses.field(
    default_factory=lambda: np.zeros(0, np.int64)
  )

  @classmethod
  def of(cls, values: Int[np.ndarray, "_"]) -> "Counts":
    """Counts some integers."""
    values = values.astype(np.int64)
    if len(values) and values.min() >= 0 and values.max() < 4 * len(values):
      counts = np.bincount(values)  # Faster than sorting.
      found = np.flatnonzero(counts)
      return cls(found, counts[found])
    return cls(*np.unique(values, return_counts=True))

  def __add__(self, other: "Counts") -> "Counts":
    values, place = np.unique(
      np.append(self.values, other.values), return_inverse=True
    )
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, place, np.append(self.counts, other.counts))
    return Counts(values, counts)

  @property
  def total(self) -> int:
    """The number of integers."""
    return int(self.counts.sum())

  @property
  def mean(self) -> float:
    """The mean of the integers."""
    return float(self.values @ self.counts) / self.total

  def percentiles(
    self, percents: Iterable[float | int]
  ) -> Float[np.ndarray, "p"]:
    """Returns percentiles, interpolated as `numpy.percentile` does."""
    place = np.asarray(list(percents)) / 100 * (self.total - 1)
    ends = np.cumsum(self.counts)
    below, above = (
      self.values[np.searchsorted(ends, at, side="right")].astype(float)
      for at in (np.floor(place), np.ceil(place))
    )
    return below + (above - below) * (place % 1)
