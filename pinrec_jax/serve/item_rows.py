"""The columns of all items of a server, deleted ones, too."""

import collections
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

GROWTH = 1.5  # By which buffers grow.


class Change(NamedTuple):
  """One change of the catalog.

  Attributes:
    item: the item's id, as text.
    vector: its unit-norm vector; None deletes the item.
    own_id: the id as the user wrote it.
    item_type: index of its type.
    codes: codes of its categorical features.
    features: its features by name, as they are shown.
    title: what people read instead of the id.
  """

  item: str
  vector: Float[np.ndarray, "d"] | None
  own_id: Any = None
  item_type: int = 0
  codes: Int[np.ndarray, "g"] | None = None
  features: dict[str, list[str]] | None = None
  title: str = ""


class Rows:
  """Columns of all items. A row stays as it is for as long as it is read.

  Rows of the bundle stay for good. An added row may be used for another item
  some time after a newer row has replaced it.
  """

  def __init__(
    self,
    vectors: Float[np.ndarray, "v d"],
    item_type: Int[np.ndarray, "v"],
    codes: Int[np.ndarray, "v g"],
    ids: list[Any],
    keep: float,
  ) -> None:
    """Starts with the items of a bundle.

    Args:
      vectors: unit-norm vectors.
      item_type: index of the type of each item.
      codes: codes of the categorical features of each item.
      ids: the items' own ids.
      keep: seconds for which a released row stays as it is.
    """
    # The bundle's own arrays are full, so they are copied before a change.
    self._vectors, self._types, self._codes = vectors, item_type, codes
    self.ids = ids
    self.features: dict[int, dict[str, list[str]]] = {}  # of added rows
    self.titles: dict[int, str] = {}  # of added rows
    self.length = len(ids)
    self._bundle, self._keep = len(ids), keep
    # Released rows, and the time from which they may be used again.
    self._released: collections.deque[tuple[float, int]] = collections.deque()

  def release(self, rows: Iterable[int]) -> None:
    """Lets rows be used again that no later request reads."""
    until = time.monotonic() + self._keep
    self._released += [(until, row) for row in rows if row >= self._bundle]

  def add(self, change: Change) -> int:
    """Stores an item and returns the number of its row."""
    if self._released and self._released[0][0] <= time.monotonic():
      _, row = self._released.popleft()
    else:
      row = self._new()
    self._vectors[row], self._types[row] = change.vector, change.item_type
    self._codes[row] = 0 if change.codes is None else change.codes
    self.ids[row] = change.own_id
    self.features[row] = change.features or {}
    self.titles[row] = change.title
    return row

  def _new(self) -> int:
    """Returns the number of a new row."""
    if self.length == len(self._vectors):
      self._vectors, self._types, self._codes = (
        _grown(column) for column in (self._vectors, self._types, self._codes)
      )
    self.ids.append(None)
    self.length += 1
    return self.length - 1

  def vectors(self, rows: Int[np.ndarray, "*b"]) -> Float[np.ndarray, "*b d"]:
    """Returns the vectors of some rows."""
    return self._vectors[rows]

  def types(self, rows: Int[np.ndarray, "*b"]) -> Int[np.ndarray, "*b"]:
    """Returns the item types of some rows."""
    return self._types[rows]

  def codes(self, rows: Int[np.ndarray, "*b"]) -> Int[np.ndarray, "*b g"]:
    """Returns the codes of the categorical features of some rows."""
    return self._codes[rows]


def _grown(column: Shaped[np.ndarray, "v ..."]) -> Shaped[np.ndarray, "w ..."]:
  """Returns a longer copy. Older snapshots go on reading the old one."""
  size = int(GROWTH * len(column)) + 16
  grown = np.zeros((size, *column.shape[1:]), column.dtype)
  grown[: len(column)] = column
  return grown
