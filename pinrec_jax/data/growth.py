"""A catalog that gains items and loses candidates."""

import dataclasses
from collections.abc import Collection

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.data import schema


def grown(
  earlier: catalog_lib.Catalog,
  own: catalog_lib.Catalog,
  *,
  listed: bool,
  described: Collection[str] = (),
) -> tuple[catalog_lib.Catalog, Int[np.ndarray, "v"]]:
  """Returns the items of both catalogs; those of the earlier one keep rows.

  Args:
    earlier: the catalog so far.
    own: the catalog of a newer log, in the names of the earlier one.
    listed: whether the newer log has an item table. Then its candidates are the
      only ones, with the features of this table. If not, all items stay
      candidates, and earlier items keep their features.
    described: features that come from the events. If the newer log does not
      have one, an item keeps the earlier one.

  Returns:
    The catalog, and the row in it of each row of `own`.
  """
  size, more = len(earlier.items.ids), len(own.items.ids)
  rows = np.zeros(more, np.int64)
  for text, row in own.row_of.items():
    rows[row] = earlier.row_of.get(text, -1)
  new = rows < 0
  rows[new] = size + np.arange(new.sum())
  # Where each item is taken from, in both catalogs end to end.
  source = np.append(np.arange(size), size + np.flatnonzero(new))
  updated = np.flatnonzero(own.items.candidate & ~new) if listed else rows[:0]
  source[rows[updated]] = size + updated
  columns = [
    np.concatenate(_alike(a, b))[source]
    for a, b in zip(earlier.items, own.items, strict=True)
  ]
  items = schema.Items(*columns)
  _keep(earlier, own, items, rows[updated], described)
  candidate = np.zeros(len(source), bool)
  if listed:
    candidate[rows[own.items.candidate]] = True
  else:
    candidate[:size], candidate[rows[new]] = earlier.items.candidate, True
  return dataclasses.replace(
    earlier,
    items=items._replace(candidate=candidate),
    titles=_titles(earlier, own, source),
  ), rows


def _alike(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns ids of two kinds as text; other columns as they are."""
  if (a.dtype == object) == (b.dtype == object):
    return a, b
  whole = [x.astype(str).astype(object) for x in (a, b)]
  return whole[0], whole[1]


def _keep(
  earlier: catalog_lib.Catalog,
  own: catalog_lib.Catalog,
  items: schema.Items,
  rows: Int[np.ndarray, "n"],
  described: Collection[str],
) -> None:
  """Puts earlier features back where the newer log has none."""
  for name, place in earlier.columns.items():
    if name in described:
      lost = rows[~items.categorical[rows, place].any(1)]
      items.categorical[lost, place] = earlier.items.categorical[lost, place]
  for place, name in enumerate(own.numbers):
    if name in described:
      lost = rows[items.dense[rows, place] == 0]
      items.dense[lost, place] = earlier.items.dense[lost, place]


def _titles(
  earlier: catalog_lib.Catalog,
  own: catalog_lib.Catalog,
  source: Int[np.ndarray, "n"],
) -> pa.ChunkedArray | None:
  """Returns the titles of the items; None if no item has one."""
  if earlier.titles is None and own.titles is None:
    return None
  parts = [
    pa.chunked_array([[""] * len(one.items.ids)], pa.string())
    if one.titles is None
    else one.titles
    for one in (earlier, own)
  ]
  chunks = [chunk for part in parts for chunk in part.chunks]
  return pa.chunked_array(chunks).take(pa.array(source))
