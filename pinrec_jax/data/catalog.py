"""The items of a log with their features, and the names it uses."""

import dataclasses
import functools
import hashlib
import json
import pathlib
import types
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Int, Shaped
from pyarrow import compute, parquet

from pinrec_jax import files, pace
from pinrec_jax.data import (
  identifiers,
  schema,
)

ITEMS, NAMES = "items.parquet", "names.json"
# Arrow makes its functions when it is loaded, which hides them from pyright.
_call: Any = compute.call_function
CATEGORY, NUMBER, TITLE = "cat.", "dense.", "title"


@dataclasses.dataclass(frozen=True)
class Catalog:
  """The item table and the names behind its small integers.

  Attributes:
    vocabulary: names of actions, surfaces and so on.
    items: the item table.
    values: of each categorical feature; the first one has the code 1.
    titles: what people read instead of an id, "" if an item has none; None if
      no item has one. The model never reads titles.
    numbers: of each of an item's numbers by name, the mean and the standard
      deviation by which it is standardized; (0, 1) if it is as in the log.
  """

  vocabulary: schema.Vocabulary
  items: schema.Items
  values: Mapping[str, Sequence[str]]
  titles: pa.ChunkedArray | None = None  # Half the memory of Python's texts.
  numbers: Mapping[str, Sequence[float]] = dataclasses.field(
    default_factory=dict
  )

  @functools.cached_property
  def row_of(self) -> dict[str, int]:
    """Maps an item's id, as text, to its row."""
    ids = self.items.ids.tolist()
    return {identifiers.id_text(key): row for row, key in enumerate(ids) if row}

  @functools.cached_property
  def _codes(self) -> dict[str, dict[str, int]]:
    """Maps the values of each categorical feature to their codes."""
    return {
      name: {value: code for code, value in enumerate(own, start=1)}
      for name, own in self.values.items()
    }

  @functools.cached_property
  def values_digest(self) -> str:
    """A digest of the values of all categorical features."""
    text = json.dumps({name: list(v) for name, v in self.values.items()})
    return hashlib.sha256(text.encode()).hexdigest()[:16]

  @functools.cached_property
  def columns(self) -> dict[str, slice]:
    """Maps each categorical feature to the columns of its codes."""
    found, first = {}, 0
    for one in self.vocabulary.features:
      found[one.name] = slice(first, first + one.slots)
      first += one.slots
    return found

  def codes_of(self, feature: str, values: Sequence[str]) -> list[int]:
    """Returns the codes of those values of a feature that the log has."""
    known = self._codes[feature]
    return [known[value] for value in values if value in known]

  def title(self, row: int) -> str:
    """Returns the title of an item; "" if it has none."""
    return "" if self.titles is None else self.titles[row].as_py()

  def titled(self, text: str) -> Int[np.ndarray, "_"]:
    """Returns the rows whose title contains a text, in any case of letters."""
    if self.titles is None:
      return np.zeros(0, np.int64)
    options = compute.MatchSubstringOptions(text, ignore_case=True)
    has = _call("match_substring", [self.titles], options)
    return np.flatnonzero(has.to_numpy())

  def encode(self, features: Mapping[str, Any]) -> Int[np.ndarray, "g"]:
    """Returns the codes of an item's categorical features.

    Args:
      features: for each feature a value or a list of values. A feature that
        is left out and a new value are missing.

    Raises:
      ValueError: on a feature the log does not have, or too many values.
    """
    known = {feature.name: feature for feature in self.vocabulary.features}
    if extra := set(features) - set(known):
      raise ValueError(
        f"unknown item feature {min(extra)!r}; this data set has "
        f"{', '.join(known)}"
      )
    codes = []
    for name, feature in known.items():
      given = features.get(name, [])
      given = given if isinstance(given, list) else [given]
      if len(given) > feature.slots:
        raise ValueError(
          f"item feature {name!r} has {len(given)} values; give at most "
          f"{feature.slots}"
        )
      known_codes = self._codes[name]
      found = [
        known_codes.get(identifiers.id_text(value), 0) for value in given
      ]
      found = [code for code in found if code]
      codes += found + [0] * (feature.slots - len(found))
    return np.array(codes, np.int32)

  def save(self, folder: pathlib.Path) -> None:
    """Writes the catalog as two files."""
    items = self.items
    columns = {
      "item": items.ids[1:],
      "item_type": items.item_type[1:],
      "candidate": items.candidate[1:],
    }
    for prefix, table in ((CATEGORY, items.categorical), (NUMBER, items.dense)):
      columns |= {f"{prefix}{n}": c[1:] for n, c in enumerate(table.T)}
    table = pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False)
    if self.titles is not None:
      table = table.append_column(TITLE, self.titles.slice(1))
    folder.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, folder / ITEMS)
    files.write_json(folder / NAMES, self.names)

  @property
  def names(self) -> dict[str, Any]:
    """The meaning of all codes and numbers, as JSON values."""
    return {
      "vocabulary": dataclasses.asdict(self.vocabulary),
      "values": self.values,
      "numbers": self.numbers,
    }


def load(folder: pathlib.Path, rest: pace.Rest = pace.unpaced) -> Catalog:
  """Reads a catalog that `save` wrote.

  Args:
    folder: of the catalog.
    rest: is called after each part of the work.
  """
  names = files.read_json(folder / NAMES)
  rest()
  table, titles = parquet.read_table(folder / ITEMS), None
  rest()
  if TITLE in table.column_names:
    titles = _after_no_item(table[TITLE])
    table = table.drop_columns([TITLE])
  frame = table.to_pandas()
  rest()

  def _columns(prefix: str, dtype: type) -> Shaped[np.ndarray, "v f"]:
    found = [c for c in frame if c.startswith(prefix)]
    return _after_none(frame[found].to_numpy(dtype))

  return Catalog(
    schema.Vocabulary.of(names["vocabulary"]),
    schema.Items(
      ids=_after_none(frame["item"].to_numpy()),
      item_type=_after_none(frame["item_type"].to_numpy()),
      categorical=_columns(CATEGORY, np.int32),
      dense=_columns(NUMBER, np.float32),
      candidate=_after_none(frame["candidate"].to_numpy()),
    ),
    names["values"],
    titles,
    names.get("numbers", {}),
  )


def encode(
  items: pd.DataFrame,
  candidates: Shaped[np.ndarray, "c"],
  scales: Mapping[str, Sequence[float]] = types.MappingProxyType({}),
  **names: Any,
) -> Catalog:
  """Encodes the items' features as small integers.

  Args:
    items: one row an item: `item`, `item_type`, categorical columns (several
      slots of one feature are named feature.0, feature.1, ...), numbers named
      dense.*, and `title`, which may be absent or missing.
    candidates: the ids that may be recommended.
    scales: of standardized numbers by name, the mean and the deviation.
    **names: the other fields of the vocabulary.

  Raises:
    ValueError: if an item is listed twice.
  """
  if items["item"].duplicated().any():
    twice = items.loc[items["item"].duplicated(), "item"].iloc[0]
    raise ValueError(f"item {twice} is listed twice; keep one row an item")
  groups: dict[str, list[str]] = {}
  for column in items:
    known = column in ("item", "item_type", TITLE)
    if not known and not column.startswith(NUMBER):
      groups.setdefault(column.split(".")[0], []).append(column)
  features, values, codes = [], {}, []
  for name, columns in groups.items():
    known = pd.Index(pd.unique(items[columns].to_numpy().ravel())).dropna()
    codes += [known.get_indexer(pd.Index(items[c])) + 1 for c in columns]
    values[name] = [identifiers.id_text(value) for value in known]
    features.append(schema.Feature(name, len(known) + 1, len(columns)))
  kinds, types = pd.factorize(items["item_type"], sort=True)
  numbers = [c for c in items if c.startswith(NUMBER)]
  return Catalog(
    schema.Vocabulary(
      item_types=tuple(map(str, types)),
      features=tuple(features),
      dense=len(numbers),
      **names,
    ),
    schema.Items(
      ids=_after_none(items["item"].to_numpy()),
      item_type=_after_none(kinds.astype(np.int32)),
      categorical=_after_none(
        np.array(codes, np.int32).reshape(-1, len(items)).T
      ),
      dense=_after_none(items[numbers].to_numpy(np.float32)),
      candidate=_after_none(pd.Index(items["item"]).isin(candidates)),
    ),
    values,
    _titles(items[TITLE]) if TITLE in items else None,
    {
      name: list(scales.get(name, (0.0, 1.0)))
      for name in (column.removeprefix(NUMBER) for column in numbers)
    },
  )


def _titles(column: Any) -> pa.ChunkedArray | None:
  """Returns the titles of all rows; None if no item has one."""
  titles = column.astype(object).fillna("")
  if not titles.astype(bool).any():
    return None
  return _after_no_item(pa.chunked_array([titles.tolist()], pa.string()))


def _after_no_item(titles: pa.ChunkedArray) -> pa.ChunkedArray:
  """Returns titles with an empty one added for the row of no item."""
  return pa.chunked_array([[""], *titles.chunks], pa.string())


def _after_none(
  column: Shaped[np.ndarray, "_ ..."],
) -> Shaped[np.ndarray, "v ..."]:
  """Returns a column with a first row added that stands for no item."""
  return np.concatenate([np.zeros_like(column[:1]), column])
