"""Filters of a request: which items may be in its list."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from pinrec_jax.data import schema
from pinrec_jax.inference import items as items_lib
from pinrec_jax.inference import wire

# Wanted values of categorical features, by the name of the feature.
Attributes = tuple[tuple[str, tuple[str, ...]], ...]


class Filter(NamedTuple):
  """What a list may hold.

  Attributes:
    exclude: rows of items to leave out.
    include: rows of the only items that may be in the list; None is all.
    types: indices of the item types that may be in it; empty is all.
    attributes: values that an item must have one of, for each feature.
    unknown: ids of the filter that no item has.
  """

  exclude: Int[np.ndarray, "_"]
  include: Int[np.ndarray, "_"] | None
  types: tuple[int, ...]
  attributes: Attributes
  unknown: tuple[str, ...]

  @property
  def restricts(self) -> bool:
    """Whether it does more than leave out some items."""
    return self.include is not None or bool(self.types or self.attributes)


def read(
  fields: wire.FilterFields,
  items: items_lib.Items,
  vocabulary: schema.Vocabulary,
) -> Filter:
  """Returns a checked filter.

  Raises:
    ValueError: on an item type or a feature that the catalog does not have.
  """
  known = {feature.name for feature in vocabulary.features}
  attributes = []
  for name, values in (fields.attributes or {}).items():
    if name not in known:
      raise ValueError(
        f"filters.attributes has {name!r}; choose from "
        f"{', '.join(sorted(known))}"
      )
    listed = values if isinstance(values, list) else [values]
    texts = tuple(wire.id_text(v, f"filters.attributes.{name}") for v in listed)
    attributes.append((name, texts))
  exclude, unknown = _rows(fields.exclude or [], items.row_of, "exclude")
  include = None
  if fields.include is not None:
    include, more = _rows(fields.include, items.row_of, "include")
    unknown += more
  return Filter(
    exclude=exclude,
    include=include,
    types=tuple(vocabulary.item_type(name) for name in fields.item_types or []),
    attributes=tuple(attributes),
    unknown=tuple(unknown),
  )


def _rows(
  ids: list[wire.Id], row_of: Mapping[str, int], field: str
) -> tuple[Int[np.ndarray, "_"], list[str]]:
  """Returns the rows of items, and the ids that no item has."""
  names = [wire.id_text(one, f"filters.{field}") for one in ids]
  rows = [row_of[name] for name in names if name in row_of]
  return np.array(rows, np.int32), [n for n in names if n not in row_of]


def mask(one: Filter, items: items_lib.Items) -> items_lib.Mask:
  """Returns which places a list may hold."""
  allowed = np.ones(len(items.place_rows), bool)
  if one.include is not None:
    places = items.place_of[one.include]
    allowed[:] = False
    allowed[places[places >= 0]] = True
  if one.types:
    allowed &= np.isin(items.types(items.place_rows), one.types)
  for name, values in one.attributes:
    allowed &= items.having(name, values)
  return allowed
