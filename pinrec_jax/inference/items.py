"""The items that requests see: those of a bundle, or a live set of them."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int

from pinrec_jax.index import exact
from pinrec_jax.inference import bundle as bundle_lib

Mask = Bool[np.ndarray, "p"]


class Found(NamedTuple):
  """Neighbours of some queries, nearest first.

  Attributes:
    place: places among the items that can be recommended; -1 is none.
    score: cosines.
    exact: whether every allowed item was compared.
  """

  place: Int[np.ndarray, "q k"]
  score: Float[np.ndarray, "q k"]
  exact: bool


class Items(Protocol):
  """All items at one moment; an object of this kind never changes.

  An item has a row, which stays the same. If it can be recommended, it also has
  a place in the index.
  """

  @property
  def version(self) -> int:
    """Counts the changes of the items; 0 are those of the bundle."""
    ...

  @property
  def count(self) -> int:
    """Number of items that can be recommended."""
    ...

  @property
  def row_of(self) -> Mapping[str, int]:
    """Row of every item, by its id as text."""
    ...

  @property
  def place_of(self) -> Int[np.ndarray, "v"]:
    """Place of every row; -1 if it cannot be recommended."""
    ...

  @property
  def place_rows(self) -> Int[np.ndarray, "p"]:
    """Row of every place."""
    ...

  def vectors(self, rows: Int[np.ndarray, "*b"]) -> Float[np.ndarray, "*b d"]:
    """Returns the unit-norm vectors of rows."""
    ...

  def types(self, rows: Int[np.ndarray, "*b"]) -> Int[np.ndarray, "*b"]:
    """Returns the item types of rows."""
    ...

  def codes(self, rows: Int[np.ndarray, "*b"]) -> Int[np.ndarray, "*b g"]:
    """Returns the codes of the categorical features of rows."""
    ...

  def ids(self, rows: Int[np.ndarray, "*b"]) -> Sequence[Any]:
    """Returns the items' own ids."""
    ...

  def search(
    self, query: Float[np.ndarray, "q d"], k: int, allowed: Mask | None = None
  ) -> Found:
    """Returns the nearest items of each query.

    Args:
      query: unit-norm vectors.
      k: neighbours of each query.
      allowed: places that may be returned; by default all.
    """
    ...


class BundleItems:
  """The items of a bundle."""

  version = 0

  def __init__(self, bundle: bundle_lib.Bundle) -> None:
    self._bundle = bundle
    self.place_rows = bundle.candidates
    self.count = len(bundle.candidates)

  @property
  def row_of(self) -> Mapping[str, int]:
    """Row of every item, by its id as text."""
    return self._bundle.catalog.row_of

  @functools.cached_property
  def place_of(self) -> Int[np.ndarray, "v"]:
    """Place of every row; -1 if it cannot be recommended."""
    places = np.full(len(self._bundle.vectors), -1, np.int32)
    places[self.place_rows] = np.arange(self.count)
    return places

  def vectors(self, rows: Int[np.ndarray, "*b"]) -> Float[np.ndarray, "*b d"]:
    """Returns the unit-norm vectors of rows."""
    return self._bundle.vectors[rows]

  def types(self, rows: Int[np.ndarray, "*b"]) -> Int[np.ndarray, "*b"]:
    """Returns the item types of rows."""
    return self._bundle.catalog.items.item_type[rows]

  def codes(self, rows: Int[np.ndarray, "*b"]) -> Int[np.ndarray, "*b g"]:
    """Returns the codes of the categorical features of rows."""
    return self._bundle.catalog.items.categorical[rows]

  def ids(self, rows: Int[np.ndarray, "*b"]) -> Sequence[Any]:
    """Returns the items' own ids."""
    return self._bundle.catalog.items.ids[rows].tolist()

  def search(
    self, query: Float[np.ndarray, "q d"], k: int, allowed: Mask | None = None
  ) -> Found:
    """Returns the nearest items of each query."""
    index = self._bundle.index
    size = min(k, self.count)
    place, score = index.search(query, size)
    missing = [(0, 0), (0, k - size)]
    return Found(
      np.pad(place, missing, constant_values=-1),
      np.pad(score, missing, constant_values=-np.inf),
      isinstance(index, exact.Exact),
    )
