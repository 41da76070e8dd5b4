"""Content vectors of items: given as lists, or made from texts."""

import importlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalog, identifiers


def parsed(value: Any) -> list[float] | None:
  """Returns the numbers of a list, or of a list that is written as JSON."""
  try:
    value = json.loads(value) if isinstance(value, str) else value
    numbers = np.asarray(value, np.float64)
  except (TypeError, ValueError):
    return None
  good = numbers.ndim == 1 and numbers.size and np.isfinite(numbers).all()
  return numbers.tolist() if good else None


def columns(column: Any, name: str) -> dict[str, Float[np.ndarray, "_"]]:
  """Returns columns of numbers: the vectors, and whether an item has one."""
  has = column.notna().to_numpy()
  sizes = sorted({len(vector) for vector in column[has]})
  if len(sizes) != 1:
    raise ValueError(
      f"the column {name!r} of the items has vectors of {sizes or 'no'} "
      "numbers; give all of them the same size"
    )
  table = np.zeros((len(column), sizes[0] + 1))
  table[has, :-1] = np.stack(column[has].to_list())
  table[has, -1] = 1
  return {
    f"{catalog.NUMBER}{name}.{n}": numbers for n, numbers in enumerate(table.T)
  }


def embedder(custom: config_lib.Custom) -> Callable[[list[str]], Any]:
  """Returns the user's function from texts to vectors.

  Raises:
    ValueError: if it cannot be imported.
  """
  module, _, function = custom.text_embedder.partition(":")
  try:
    return getattr(importlib.import_module(module), function)
  except (ImportError, AttributeError, ValueError) as error:
    raise ValueError(
      f"config.data.custom.text_embedder is {custom.text_embedder!r} and "
      f"cannot be imported ({error}); name a function as module:function"
    ) from error


def embedded(texts: Any, custom: config_lib.Custom) -> Any:
  """Returns the vectors of the items' texts, None without a text."""
  given = texts.notna()
  vectors = np.asarray(
    embedder(custom)([*map(identifiers.id_text, texts[given])]), float
  )
  if vectors.ndim != 2 or len(vectors) != given.sum():
    raise ValueError(
      f"config.data.custom.text_embedder {custom.text_embedder!r} returned the "
      f"shape {vectors.shape} for {given.sum()} texts; return an array [n f]"
    )
  found = pd.Series([None] * len(texts), index=texts.index, dtype=object)
  found[given] = pd.Series(vectors.tolist(), index=texts.index[given])
  return found
