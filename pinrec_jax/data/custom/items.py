"""The items of a user's own log and what they are known by."""

import importlib
import json
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalog, readers, row_errors
from pinrec_jax.data.custom import columns

SEPARATOR, SLOTS = "|", 5  # between values of a category; how many are kept
PLACE = "\0place"  # no table has a column of this name


def read(
  config: config_lib.Data, faults: row_errors.RowErrors
) -> columns.Frame:
  """Returns the item table, as for `catalog.encode`; ids are text.

  Raises:
    ValueError: if a column is missing or nothing good is left.
  """
  own = config.custom
  parts = []
  for path in readers.files(config.items, "items"):
    for chunk in readers.chunks(path):
      sieve = row_errors.RowFilter(chunk, faults)
      if len(chunk.frame):
        parts.append(_good(sieve, own))
  row_errors.some_good(faults, config.items, "items")
  table: columns.Frame = pd.concat(parts, ignore_index=True)
  again = table["item"].duplicated()
  faults.add("item listed before", int(again.sum()), table.loc[again, PLACE])
  table = table[~again].reset_index(drop=True).drop(columns=PLACE)
  return _features(table, own, faults)


def _good(sieve: row_errors.RowFilter, own: config_lib.Custom) -> columns.Frame:
  """Returns a chunk's good rows, its numbers and vectors read."""
  frame, file = sieve.chunk.frame, sieve.chunk.file
  for field in ("number", "ignore", "text", "vector"):
    for name in columns.typed(own, field):
      if name not in frame:
        raise ValueError(
          f"config.data.custom.column_types names {name!r} and {file} has the columns "
          f"{', '.join(map(str, frame))}; name one of them"
        )
  column = columns.named(frame, file, own, "item")
  ids = columns.text(frame[column])
  sieve.reject(ids == "", "no item", column)
  kind = columns.named(frame, file, own, "item_type")
  for name in {"item", "item_type"} & {*frame} - {column, kind}:
    if name not in columns.typed(own, "ignore"):
      raise ValueError(
        f"{file} has a column {name!r}, which config.data.custom.{name} does not "
        "name; rename it, or name it in own.column_types as ignore"
      )
  found: dict[str, Any] = {PLACE: sieve.places(), "item": ids}
  found["item_type"] = "item"
  if kind:
    found["item_type"] = columns.text(frame[kind]).replace("", "item")
  for name in columns.typed(own, "number"):
    told = columns.text(frame[name])
    found[name] = pd.to_numeric(told, errors="coerce")
    wrong = ~np.isfinite(found[name]) & (told != "")
    sieve.reject(wrong, "not a finite number", name)
  if name := columns.one(own, "vector"):
    found[name] = frame[name].map(_vector).astype(object)
    wrong = found[name].isna() & (columns.text(frame[name]) != "")
    sieve.reject(wrong, "not a vector of finite numbers", name)
  left = {column, kind, *found, *columns.typed(own, "ignore")}
  found |= {name: frame[name] for name in frame if name not in left}
  return pd.DataFrame(found)[sieve.good]


def _vector(told: Any) -> list[float] | None:
  """Returns the numbers of a list, or of one written as JSON."""
  try:
    values = np.asarray(
      json.loads(told) if isinstance(told, str) else told, np.float64
    )
  except (TypeError, ValueError):
    return None
  good = values.ndim == 1 and values.size and np.isfinite(values).all()
  return values.tolist() if good else None


def _features(
  table: columns.Frame, own: config_lib.Custom, faults: row_errors.RowErrors
) -> columns.Frame:
  """Returns an item table with its columns as the catalog wants them."""
  found: dict[str, Any] = {n: table[n] for n in ("item", "item_type")}
  for name in columns.typed(own, "number"):
    value = table[name].astype(float)
    standard = (value - value.mean()) / (value.std() or 1.0)
    found[f"{catalog.NUMBER}{name}"] = standard.fillna(0.0)
  if name := columns.one(own, "vector"):
    found |= _vectors(table[name], name)
  if columns.one(own, "text") and own.text_embedder:
    found |= _vectors(
      _embedded(table[columns.one(own, "text")], own), columns.one(own, "text")
    )
  left = {
    *found,
    columns.one(own, "text"),
    columns.one(own, "vector"),
    *columns.typed(own, "number"),
  }
  for name in (name for name in table if name not in left):
    values = table[name].map(lambda told: _categories(told, SEPARATOR))
    sizes = values.map(len)
    # A dot parts a feature from its slot.
    feature = str(name).replace(".", "_")
    if f"{feature}." == catalog.NUMBER or f"{feature}.0" in found:
      raise ValueError(
        f"the items' column {name!r} would be told as {feature!r}, as another "
        "is, or as numbers are; rename it, or type it as ignore in config.data.custom.column_types"
      )
    faults.note(
      f"items of whose {name} the first {SLOTS} are kept",
      int((sizes > SLOTS).sum()),
    )
    for slot in range(min(int(sizes.max()), SLOTS)):
      found[f"{feature}.{slot}"] = values.str.get(slot)
  return pd.DataFrame(found)


def _categories(told: Any, separator: str) -> list[str]:
  """Returns the values of a category that an item has."""
  if isinstance(told, str):
    told = told.split(separator) if separator else [told]
  elif not isinstance(told, list | tuple | np.ndarray):
    told = [] if pd.isna(told) else [told]
  return [text for text in (str(value).strip() for value in told) if text]


def _vectors(
  column: columns.Column, name: str
) -> dict[str, Float[np.ndarray, "_"]]:
  """Returns columns of numbers: the vectors, and whether an item has one."""
  has = column.notna().to_numpy()
  sizes = sorted({len(vector) for vector in column[has]})
  if len(sizes) != 1:
    raise ValueError(
      f"the column {name!r} of the items has vectors of {sizes} numbers; give "
      "all of them the same size"
    )
  table = np.zeros((len(column), sizes[0] + 1))
  table[has, :-1] = np.stack(column[has].to_list())
  table[has, -1] = 1
  return {
    f"{catalog.NUMBER}{name}.{n}": numbers for n, numbers in enumerate(table.T)
  }


def _embedded(texts: columns.Column, own: config_lib.Custom) -> columns.Column:
  """Returns the vectors that the hook makes of the items' texts."""
  module, _, function = own.text_embedder.partition(":")
  try:
    hook = getattr(importlib.import_module(module), function)
  except (ImportError, AttributeError, ValueError) as error:
    raise ValueError(
      f"config.data.custom.text_embedder is {own.text_embedder!r} and cannot be had ({error}); "
      "name a function of a list of texts as module:function"
    ) from error
  vectors = np.asarray(hook(columns.text(texts).to_list()), float)
  if vectors.ndim != 2 or len(vectors) != len(texts):
    raise ValueError(
      f"config.data.custom.text_embedder {own.text_embedder!r} made {vectors.shape} of "
      f"{len(texts)} texts; return an array [n f]"
    )
  return pd.Series(vectors.tolist(), index=texts.index)
