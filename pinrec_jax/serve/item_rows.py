"""The columns of all items that a server ever had."""

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
  """Columns of all items that ever were; rows are added and never change."""

  def __init__(
    self,
    vectors: Float[np.ndarray, "v d"],
    item_type: Int[np.ndarray, "v"],
    codes: Int[np.ndarray, "v g"],
    ids: list[Any],
  ) -> None:
    # The bundle's own arrays are full, so they are copied before a change.
    self._vectors, self._types, self._codes = vectors, item_type, codes
    self.ids = ids
    self.features: dict[int, dict[str, list[str]]] = {}  # of added rows
    self.titles: dict[int, str] = {}  # of added rows
    self.length = len(ids)

  def add(self, change: Change) -> int:
    """Adds a row and returns its number."""
    if self.length == len(self._vectors):
      self._vectors, self._types, self._codes = (
        _grown(column) for column in (self._vectors, self._types, self._codes)
      )
    row = self.length
    self._vectors[row], self._types[row] = change.vector, change.item_type
    if change.codes is not None:
      self._codes[row] = change.codes
    self.ids.append(change.own_id)
    self.features[row] = change.features or {}
    self.titles[row] = change.title
    self.length += 1
    return row

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
