"""The items of a log with their features, and the names it uses."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from pinrec_jax.data import schema

ITEMS, NAMES = "items.parquet", "names.json"
CATEGORY, NUMBER = "cat.", "dense."


@dataclasses.dataclass(frozen=True)
class Catalogue:
  """The item table and what its small integers mean."""

  vocabulary: schema.Vocabulary
  items: schema.Items
  values: Mapping[str, Sequence[str]]  # of each feature; the first is code 1

  @functools.cached_property
  def row_of(self) -> dict[str, int]:
    """Maps an item's id, as text, to its row."""
    return {str(key): row for row, key in enumerate(self.items.ids) if row}

  def encode(self, features: Mapping[str, Any]) -> Int[np.ndarray, "g"]:
    """Returns the codes of an item's categorical features.

    Args:
      features: for each feature a value or a list of values; what is left out
        or never seen before is missing.

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
      values = list(self.values[name])
      found = [values.index(t) + 1 for t in map(_text, given) if t in values]
      codes += found + [0] * (feature.slots - len(found))
    return np.array(codes, np.int32)

  def save(self, folder: pathlib.Path) -> None:
    """Writes the catalogue as two files."""
    items = self.items
    columns = {
      "item": items.ids[1:],
      "item_type": items.item_type[1:],
      "candidate": items.candidate[1:],
    }
    for prefix, table in ((CATEGORY, items.categorical), (NUMBER, items.dense)):
      columns |= {f"{prefix}{n}": c[1:] for n, c in enumerate(table.T)}
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_parquet(folder / ITEMS, index=False)
    names = {
      "vocabulary": dataclasses.asdict(self.vocabulary),
      "values": self.values,
    }
    (folder / NAMES).write_text(json.dumps(names, ensure_ascii=False))


def load(folder: pathlib.Path) -> Catalogue:
  """Reads a catalogue that `save` wrote."""
  names = json.loads((folder / NAMES).read_text())
  frame = pd.read_parquet(folder / ITEMS)

  def columns(prefix: str, dtype: type) -> Shaped[np.ndarray, "v f"]:
    found = [c for c in frame if c.startswith(prefix)]
    return _after_none(frame[found].to_numpy(dtype))

  return Catalogue(
    schema.Vocabulary.of(names["vocabulary"]),
    schema.Items(
      ids=_after_none(frame["item"].to_numpy()),
      item_type=_after_none(frame["item_type"].to_numpy()),
      categorical=columns(CATEGORY, np.int32),
      dense=columns(NUMBER, np.float32),
      candidate=_after_none(frame["candidate"].to_numpy()),
    ),
    names["values"],
  )


def encode(
  items: pd.DataFrame, candidates: Shaped[np.ndarray, "c"], **names: Any
) -> Catalogue:
  """Encodes the items' features as small integers.

  Args:
    items: one row an item: `item`, `item_type`, categorical columns (several
      slots of one feature are named feature.0, feature.1, ...) and numbers
      named dense.*.
    candidates: the ids that may be recommended.
    **names: what else the vocabulary needs.

  Raises:
    ValueError: if an item is listed twice.
  """
  if items["item"].duplicated().any():
    twice = items.loc[items["item"].duplicated(), "item"].iloc[0]
    raise ValueError(f"item {twice} is listed twice; keep one row an item")
  groups: dict[str, list[str]] = {}
  for column in items:
    if column not in ("item", "item_type") and not column.startswith(NUMBER):
      groups.setdefault(column.split(".")[0], []).append(column)
  features, values, codes = [], {}, []
  for name, columns in groups.items():
    known = pd.Index(pd.unique(items[columns].to_numpy().ravel())).dropna()
    codes += [known.get_indexer(pd.Index(items[c])) + 1 for c in columns]
    values[name] = [_text(value) for value in known]
    features.append(schema.Feature(name, len(known) + 1, len(columns)))
  kinds, types = pd.factorize(items["item_type"], sort=True)
  numbers = [c for c in items if c.startswith(NUMBER)]
  return Catalogue(
    schema.Vocabulary(
      item_types=tuple(map(str, types)),
      features=tuple(features),
      dense=len(numbers),
      **names,
    ),
    schema.Items(
      ids=_after_none(items["item"].to_numpy()),
      item_type=_after_none(kinds.astype(np.int32)),
      categorical=_after_none(np.stack(codes, -1).astype(np.int32)),
      dense=_after_none(items[numbers].to_numpy(np.float32)),
      candidate=_after_none(pd.Index(items["item"]).isin(candidates)),
    ),
    values,
  )


def _after_none(
  column: Shaped[np.ndarray, "_ ..."],
) -> Shaped[np.ndarray, "v ..."]:
  """Returns a column with an empty row for no item put first."""
  return np.concatenate([np.zeros_like(column[:1]), column])


def _text(value: object) -> str:
  """Returns a value as text, 9.0 as 9."""
  if isinstance(value, float) and value.is_integer():
    value = int(value)
  return str(value)
