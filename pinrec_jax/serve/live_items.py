"""Items that can be added, changed and deleted while they are searched.

ScaNN must not be changed while it is searched. So the base index is immutable.
Added items are searched exactly, and deleted items are masked. A snapshot holds
all three and never changes. A request reads one snapshot. In the background, a
rebuild makes a new base index of everything and swaps it in.
"""

import dataclasses
import functools
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.index import build, filtered_search
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.inference import items as items_lib

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
  rows: Rows
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
    for place, row in enumerate(rows.tolist()):
      if (features := self.rows.features.get(row)) is not None:
        found[place] = bool({*features.get(feature, ())} & {*values})
    return found

  def search(
    self,
    query: Float[np.ndarray, "q d"],
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
    codes, found, first = self.codes(np.array(row)).tolist(), {}, 0
    for one in self.catalog.vocabulary.features:
      values = self.catalog.values[one.name]
      own = codes[first : first + one.slots]
      found[one.name] = [values[code - 1] for code in own if code]
      first += one.slots
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
    codes, first = self.codes(rows), 0
    for one in self.catalog.vocabulary.features:
      values = self.catalog.values[one.name]
      wanted = [n for n, v in enumerate(values, start=1) if text in v.lower()]
      found |= np.isin(codes[:, first : first + one.slots], wanted).any(1)
      first += one.slots
    for place, row in enumerate(rows.tolist()):
      if (own := self.rows.features.get(row)) is not None:
        texts = [value.lower() for values in own.values() for value in values]
        texts.append(self.rows.titles[row].lower())
        found[place] |= any(text in value for value in texts)
    return rows[found]

  def vectors_of_places(
    self, places: Int[np.ndarray, "n"]
  ) -> Float[np.ndarray, "n d"]:
    """Returns the vectors of places."""
    return self.rows.vectors(self.place_rows[places])


class LiveItems:
  """The current snapshot, and the changes that make the next one."""

  def __init__(self, bundle: bundle_lib.Bundle) -> None:
    """Starts with the items of a bundle."""
    items = bundle.catalog.items
    self._lock = threading.Lock()
    self._config = bundle.config.index
    self._row_of = dict(bundle.catalog.row_of)
    self.snapshot = Snapshot(
      version=0,
      index=bundle.index,
      place_rows=bundle.candidates,
      base=len(bundle.candidates),
      live=np.ones(len(bundle.candidates), bool),
      rows=Rows(
        bundle.vectors,
        items.item_type,
        items.categorical,
        items.ids.tolist(),
      ),
      row_of=self._row_of,
      catalog=bundle.catalog,
    )

  def apply(self, changes: list[Change]) -> Snapshot:
    """Applies changes in order and returns the snapshot with all of them."""
    with self._lock:
      old = self.snapshot
      live, added = old.live.copy(), []
      place_of = old.place_of
      for change in changes:
        before = self._row_of.get(change.item)
        if before is not None:
          if before < len(place_of) and place_of[before] >= 0:
            live[place_of[before]] = False
          added = [row for row in added if row != before]
        if change.vector is None:
          # The row stays, so that histories with the item can be read.
          continue
        row = old.rows.add(change)
        self._row_of[change.item] = row
        added.append(row)
      self.snapshot = dataclasses.replace(
        old,
        version=old.version + 1,
        place_rows=np.append(old.place_rows, np.array(added, np.int32)),
        live=np.append(live, np.ones(len(added), bool)),
      )
      return self.snapshot

  def rebuild(self) -> Snapshot:
    """Makes a new base index of all live items and swaps it in.

    It takes long; searches and changes go on meanwhile.
    """
    begun = self.snapshot
    rows = begun.place_rows[begun.live]
    index = build.build(self._config, begun.rows.vectors(rows))
    with self._lock:
      now = self.snapshot
      gone = ~np.isin(rows, now.place_rows[now.live])
      newer = now.place_rows[len(begun.place_rows) :]
      live = now.live[len(begun.place_rows) :]
      self.snapshot = dataclasses.replace(
        now,
        version=now.version + 1,
        index=index,
        place_rows=np.append(rows, newer),
        base=len(rows),
        live=np.append(~gone, live),
      )
      return self.snapshot
