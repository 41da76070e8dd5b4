"""All items at one moment, as a request reads them."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.index import build, filtered_search
from pinrec_jax.inference import items as items_lib
from pinrec_jax.serve import item_rows
from pinrec_jax.types import AnyArray


@dataclasses.dataclass(frozen=True)
class Snapshot:
  """All items at one moment. It never changes.

  A place is a number among the items of the base index, then of the added ones.

  Attributes:
    version: counts the changes.
    index: the base index.
    place_rows: row of every place.
    base: number of places in the base index.
    live: whether the item of a place is there; False if it was deleted or
      replaced.
    rows: the columns of all rows.
    row_of: row of every item, by its id as text.
    catalog: of the bundle, for the meaning of codes.
  """

  version: int
  index: build.Index
  place_rows: Int[np.ndarray, "p"]
  base: int
  live: items_lib.Mask
  rows: item_rows.Rows
  row_of: Mapping[str, int]
  catalog: catalog_lib.Catalog

  @property
  def count(self) -> int:
    """Number of items that can be recommended."""
    return self._counts[0]

  @property
  def dead(self) -> int:
    """Number of deleted or replaced items in the base index."""
    return self._counts[1]

  @functools.cached_property
  def _counts(self) -> tuple[int, int]:
    return int(self.live.sum()), int((~self.live[: self.base]).sum())

  @property
  def place_of(self) -> Int[np.ndarray, "v"]:
    """Place of every row; -1 if it cannot be recommended."""
    return self._places

  @functools.cached_property
  def _places(self) -> Int[np.ndarray, "v"]:
    places = np.full(self.rows.length, -1, np.int32)
    live = np.flatnonzero(self.live).astype(np.int32)
    places[self.place_rows[live]] = live
    return places

  def place(self, row: int | None) -> int:
    """Returns the place of a row; -1 if it cannot be recommended."""
    places = self._places
    return -1 if row is None or row >= len(places) else int(places[row])

  def vectors(self, rows: Int[np.ndarray, "*b"]) -> Float[np.ndarray, "*b d"]:
    """Returns the unit-norm vectors of rows."""
    return self.rows.vectors(rows)

  def types(self, rows: Int[np.ndarray, "*b"]) -> Int[np.ndarray, "*b"]:
    """Returns the item types of rows."""
    return self.rows.types(rows)

  def codes(self, rows: Int[np.ndarray, "*b"]) -> Int[np.ndarray, "*b g"]:
    """Returns the codes of the categorical features of rows."""
    return self.rows.codes(rows)

  def ids(self, rows: Int[np.ndarray, "*b"]) -> Sequence[Any]:
    """Returns the items' own ids."""
    return [self.rows.ids[row] for row in rows.tolist()]

  def having(self, feature: str, values: Sequence[str]) -> items_lib.Mask:
    """Returns which places have one of some values of a feature."""
    rows = self.place_rows
    found = items_lib.has_value(self.catalog, self.codes(rows), feature, values)
    # The vocabulary may lack values of items that were added.
    for place in self._added(rows):
      features = self.rows.features[int(rows[place])]
      found[place] = bool({*features.get(feature, ())} & {*values})
    return found

  def _added(self, rows: Int[np.ndarray, "p"]) -> list[int]:
    """Returns where items are that were added to those of the bundle."""
    return np.flatnonzero(rows >= len(self.catalog.items.ids)).tolist()

  def search(
    self,
    query: Float[AnyArray, "q d"],
    k: int,
    allowed: items_lib.Mask | None = None,
  ) -> filtered_search.Found:
    """Returns the nearest live items of each query."""
    return filtered_search.search(
      self.index,
      self.base,
      self.vectors_of_places,
      self.live if allowed is None else self.live & allowed,
      query,
      k,
      filtered=allowed is not None,
    )

  def features(self, row: int) -> dict[str, list[str]]:
    """Returns the categorical features of an item by name."""
    if (changed := self.rows.features.get(row)) is not None:
      return changed
    codes, found = self.codes(np.array(row)), {}
    for name, own in self.catalog.columns.items():
      values = self.catalog.values[name]
      found[name] = [values[code - 1] for code in codes[own].tolist() if code]
    return found

  def title(self, row: int) -> str:
    """Returns the title of an item; "" if it has none."""
    own = self.rows.titles.get(row)
    return self.catalog.title(row) if own is None else own

  def matching(self, text: str) -> Int[np.ndarray, "_"]:
    """Returns the rows of live items with a text in id, title or a feature."""
    text = text.lower()
    rows = self.place_rows[self.live]
    found = np.array(
      [text in str(self.rows.ids[row]).lower() for row in rows.tolist()], bool
    )
    found |= np.isin(rows, self.catalog.titled(text))
    codes = self.codes(rows)
    for name, own in self.catalog.columns.items():
      values = self.catalog.values[name]
      wanted = [n for n, v in enumerate(values, start=1) if text in v.lower()]
      found |= np.isin(codes[:, own], wanted).any(1)
    for place in self._added(rows):
      row = int(rows[place])
      texts = [self.rows.titles[row]]
      for values in self.features(row).values():
        texts += values
      found[place] |= any(text in value.lower() for value in texts)
    return rows[found]

  def vectors_of_places(
    self, places: Int[np.ndarray, "n"]
  ) -> Float[np.ndarray, "n d"]:
    """Returns the vectors of places."""
    return self.rows.vectors(self.place_rows[places])
