"""Items that can be added, changed and deleted while they are searched.

ScaNN must not be changed while it is searched. So the base index is immutable.
Added items are searched exactly, and deleted items are masked. A snapshot holds
all three and never changes. A request reads one snapshot. In the background, a
rebuild makes a new base index of everything and swaps it in.
"""

import dataclasses
import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from pinrec_jax.index import build

EXACT_BELOW = 0.2  # Allowed fraction below which filtered search is exact.
SLACK = 64  # Extra neighbours that may be masked before a second search.
GROWTH = 1.5  # By which buffers grow.

Mask = Bool[np.ndarray, "p"]


class Change(NamedTuple):
  """One change of the catalog.

  Attributes:
    item: the item's id, as text.
    vector: its unit-norm vector; None deletes the item.
    own_id: the id as the user wrote it.
    item_type: index of its type.
    codes: codes of its categorical features.
    features: its features by name, as they are shown.
  """

  item: str
  vector: Float[np.ndarray, "d"] | None
  own_id: Any = None
  item_type: int = 0
  codes: Int[np.ndarray, "g"] | None = None
  features: dict[str, Any] | None = None


class Found(NamedTuple):
  """Neighbours of some queries, nearest first.

  Attributes:
    place: places in the snapshot; -1 where there is none.
    score: cosines.
    exact: whether every allowed item was compared.
  """

  place: Int[np.ndarray, "q k"]
  score: Float[np.ndarray, "q k"]
  exact: bool


class Rows:
  """Columns of all items that ever were; rows are added and never change."""

  def __init__(
    self,
    vectors: Float[np.ndarray, "v d"],
    item_type: Int[np.ndarray, "v"],
    codes: Int[np.ndarray, "v g"],
    ids: list[Any],
  ) -> None:
    self._vectors, self._types, self._codes = vectors, item_type, codes
    self.ids = ids
    self.features: dict[int, dict[str, Any]] = {}  # of added rows
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
  """

  version: int
  index: build.Index
  place_rows: Int[np.ndarray, "p"]
  base: int
  live: Mask
  rows: Rows

  @functools.cached_property
  def count(self) -> int:
    """Number of items that can be recommended."""
    return int(self.live.sum())

  @functools.cached_property
  def dead(self) -> int:
    """Number of deleted or replaced items in the base index."""
    return int((~self.live[: self.base]).sum())

  @functools.cached_property
  def place_of(self) -> Int[np.ndarray, "v"]:
    """Place of every row; -1 if it cannot be recommended."""
    places = np.full(self.rows.length, -1, np.int32)
    live = np.flatnonzero(self.live).astype(np.int32)
    places[self.place_rows[live]] = live
    return places

  def search(
    self,
    query: Float[np.ndarray, "q d"],
    k: int,
    allowed: Mask | None = None,
  ) -> Found:
    """Returns the nearest live items of each query.

    With a filter, the search is exact if few items are allowed. Otherwise it
    fetches more neighbours until enough of them are allowed.

    Args:
      query: unit-norm vectors.
      k: neighbours of each query.
      allowed: places that may be returned; by default all.
    """
    mask = self.live if allowed is None else self.live & allowed
    total = int(mask.sum())
    if allowed is not None and total < EXACT_BELOW * max(self.count, 1):
      return self._exact(query, k, np.flatnonzero(mask))
    if not self.base:
      return self._exact(query, k, np.flatnonzero(mask))
    place, score = self._from_base(query, k, mask, total)
    added = self.base + np.flatnonzero(mask[self.base :])
    if added.size:
      more = self._exact(query, k, added)
      place = np.concatenate([place, more.place], 1)
      score = np.concatenate([score, more.score], 1)
      order = np.argsort(-score, axis=1, kind="stable")[:, :k]
      place, score = (np.take_along_axis(x, order, 1) for x in (place, score))
    exact = isinstance(self.index, build.exact.Exact)
    return Found(place, score, exact)

  def _from_base(
    self, query: Float[np.ndarray, "q d"], k: int, mask: Mask, total: int
  ) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
    """Searches the base index until every query has enough allowed items."""
    allowed = mask[: self.base]
    there = int(allowed.sum())
    wanted = min(k, there)
    fetch = k
    if there < self.base:
      fetch = int(k * self.base / max(there, 1)) + SLACK
    while True:
      fetch = min(fetch, self.base)
      place, score = self.index.search(query, fetch)
      good = (place >= 0) & allowed[place]
      enough = good.sum(1).min(initial=wanted) >= wanted
      if enough or fetch == self.base:
        break
      fetch *= 2
    order = np.argsort(~good, axis=1, kind="stable")[:, :k]
    place = np.where(np.take_along_axis(good, order, 1),
                     np.take_along_axis(place, order, 1), -1)  # fmt: skip
    score = np.where(
      place >= 0, np.take_along_axis(score, order, 1), -np.inf
    ).astype(np.float32)
    missing = [(0, 0), (0, k - place.shape[1])]
    place = np.pad(place, missing, constant_values=-1)
    return place, np.pad(score, missing, constant_values=-np.inf)

  def _exact(
    self, query: Float[np.ndarray, "q d"], k: int, places: Int[np.ndarray, "n"]
  ) -> Found:
    """Compares each query with all of some places."""
    score = query @ self.rows.vectors(self.place_rows[places]).T
    size = min(k, len(places))
    best = np.argpartition(-score, size - 1, axis=1)[:, :size] if size else (
      np.zeros((len(query), 0), int)
    )  # fmt: skip
    found = np.take_along_axis(score, best, 1)
    order = np.argsort(-found, axis=1, kind="stable")
    best = np.take_along_axis(best, order, 1)
    missing = [(0, 0), (0, k - size)]
    place = np.pad(places[best].astype(np.int32), missing, constant_values=-1)
    found = np.take_along_axis(found, order, 1).astype(np.float32)
    found = np.pad(found, missing, constant_values=-np.inf)
    return Found(place, found, exact=True)


class LiveItems:
  """The current snapshot, and the changes that make the next one."""

  def __init__(
    self,
    rows: Rows,
    candidates: Int[np.ndarray, "c"],
    index: build.Index,
    row_of: dict[str, int],
    make_index: Callable[[Float[np.ndarray, "c d"]], build.Index],
  ) -> None:
    """Starts with the items of a bundle.

    Args:
      rows: all items of the bundle.
      candidates: rows of the items that can be recommended.
      index: over their vectors.
      row_of: row of every item by its id as text.
      make_index: builds an index of unit-norm vectors.
    """
    self._lock = threading.Lock()
    self._make_index = make_index
    self.row_of = row_of
    self.snapshot = Snapshot(
      version=0,
      index=index,
      place_rows=candidates.astype(np.int32),
      base=len(candidates),
      live=np.ones(len(candidates), bool),
      rows=rows,
    )

  def apply(self, changes: list[Change]) -> Snapshot:
    """Applies changes in order and returns the snapshot with all of them."""
    with self._lock:
      old = self.snapshot
      live, added = old.live.copy(), []
      place_of = old.place_of
      for change in changes:
        before = self.row_of.get(change.item)
        if before is not None:
          if before < len(place_of) and place_of[before] >= 0:
            live[place_of[before]] = False
          added = [row for row in added if row != before]
        if change.vector is None:
          # The row stays, so that histories with the item can be read.
          continue
        row = old.rows.add(change)
        self.row_of[change.item] = row
        added.append(row)
      self.snapshot = Snapshot(
        version=old.version + 1,
        index=old.index,
        place_rows=np.append(old.place_rows, np.array(added, np.int32)),
        base=old.base,
        live=np.append(live, np.ones(len(added), bool)),
        rows=old.rows,
      )
      return self.snapshot

  def rebuild(self) -> Snapshot:
    """Makes a new base index of all live items and swaps it in.

    It takes long; searches and changes go on meanwhile.
    """
    begun = self.snapshot
    rows = begun.place_rows[begun.live]
    index = self._make_index(begun.rows.vectors(rows))
    with self._lock:
      now = self.snapshot
      gone = ~np.isin(rows, now.place_rows[now.live])
      newer = now.place_rows[len(begun.place_rows) :]
      live = now.live[len(begun.place_rows) :]
      self.snapshot = Snapshot(
        version=now.version + 1,
        index=index,
        place_rows=np.append(rows, newer),
        base=len(rows),
        live=np.append(~gone, live),
        rows=now.rows,
      )
      return self.snapshot
