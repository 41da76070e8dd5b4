"""The items that requests see: those of a bundle, or a live set of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.index import filtered_search
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.types import AnyArray

Mask = Bool[np.ndarray, "p"]


@runtime_checkable
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

  def having(self, feature: str, values: Sequence[str]) -> Mask:
    """Returns which places have one of some values of a feature."""
    ...

  def search(
    self, query: Float[AnyArray, "q d"], k: int, allowed: Mask | None = None
  ) -> filtered_search.Found:
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
    self.place_of = np.full(len(bundle.vectors), -1, np.int32)
    self.place_of[self.place_rows] = np.arange(self.count)

  @property
  def row_of(self) -> Mapping[str, int]:
    """Row of every item, by its id as text."""
    return self._bundle.catalog.row_of

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

  def having(self, feature: str, values: Sequence[str]) -> Mask:
    """Returns which places have one of some values of a feature."""
    return has_value(
      self._bundle.catalog, self.codes(self.place_rows), feature, values
    )

  def search(
    self, query: Float[AnyArray, "q d"], k: int, allowed: Mask | None = None
  ) -> filtered_search.Found:
    """Returns the nearest items of each query."""
    everything = np.ones(self.count, bool)
    live = everything if allowed is None else allowed
    return filtered_search.search(
      self._bundle.index,
      self.count,
      self.vectors_of_places,
      live,
      query,
      k,
      filtered=allowed is not None,
    )

  def vectors_of_places(
    self, places: Int[np.ndarray, "n"]
  ) -> Float[np.ndarray, "n d"]:
    """Returns the vectors of places."""
    return self._bundle.vectors[self.place_rows[places]]


def has_value(
  catalog: catalog_lib.Catalog,
  codes: Int[np.ndarray, "p g"],
  feature: str,
  values: Sequence[str],
) -> Mask:
  """Returns which items have one of some values of a categorical feature."""
  own = codes[:, catalog.columns[feature]]
  return np.asarray(np.isin(own, catalog.codes_of(feature, values)).any(-1))
