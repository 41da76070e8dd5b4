"""The items of a log with their features, and the names it uses."""

import dataclasses
import functools
import hashlib
import json
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from pinrec_jax.data import schema

ITEMS, NAMES = "items.parquet", "names.json"
CATEGORY, NUMBER = "cat.", "dense."


@dataclasses.dataclass(frozen=True)
class Catalog:
  """The item table and what its small integers mean."""

  vocabulary: schema.Vocabulary
  items: schema.Items
  values: Mapping[str, Sequence[str]]  # of each feature; the first is code 1

  @functools.cached_property
  def row_of(self) -> dict[str, int]:
    """Maps an item's id, as text, to its row."""
    return {str(key): row for row, key in enumerate(self.items.ids) if row}

  @functools.cached_property
  def values_digest(self) -> str:
    """A digest of what the codes of categorical features mean."""
    text = json.dumps({name: list(v) for name, v in self.values.items()})
    return hashlib.sha256(text.encode()).hexdigest()[:16]

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

  def with_vectors(self, path: pathlib.Path) -> "Catalog":
    """Returns the catalog with a content vector beside each item's numbers.

    A last number says whether an item has one; those without have zeros.

    Args:
      path: an .npz of `ids` [n], as the log writes them, and `vectors` [n f].

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it holds something else, an id twice or no known id.
    """
    if not path.is_file():
      raise FileNotFoundError(
        f"data.item_vectors {str(path)!r} is missing; point it at an .npz file"
      )
    try:
      with np.load(path, allow_pickle=False) as file:
        ids, vectors = file["ids"], file["vectors"].astype(np.float32)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
      raise ValueError(
        f"data.item_vectors {str(path)!r} has no arrays ids and vectors ({error}); "
        "write it with numpy.savez(path, ids=..., vectors=...)"
      ) from error
    if vectors.ndim != 2 or len(ids) != len(vectors):
      raise ValueError(
        f"data.item_vectors {str(path)!r} has ids of shape {ids.shape} and vectors "
        f"of shape {vectors.shape}; give one row of numbers an id"
      )
    if len(np.unique(ids)) < len(ids):
      raise ValueError(
        f"data.item_vectors {str(path)!r} has an id twice; give one"
      )
    if not np.isfinite(vectors).all():
      raise ValueError(
        f"data.item_vectors {str(path)!r} holds a number not finite"
      )
    rows = np.array([self.row_of.get(str(key), 0) for key in ids.tolist()])
    if not rows.any():
      raise ValueError(
        f"data.item_vectors {str(path)!r} has none of the log's items, {ids[0]!r} "
        f"for one; the log writes {self.items.ids[1]!r}"
      )
    items = self.items
    table = np.zeros((len(items.ids), vectors.shape[1] + 1), np.float32)
    table[rows[rows > 0], :-1] = vectors[rows > 0]
    table[rows[rows > 0], -1] = 1
    dense = np.concatenate([items.dense, table], axis=1)
    return dataclasses.replace(
      self,
      vocabulary=dataclasses.replace(self.vocabulary, dense=dense.shape[1]),
      items=items._replace(dense=dense),
    )

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
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_parquet(folder / ITEMS, index=False)
    names = {
      "vocabulary": dataclasses.asdict(self.vocabulary),
      "values": self.values,
    }
    (folder / NAMES).write_text(json.dumps(names, ensure_ascii=False))


def load(folder: pathlib.Path) -> Catalog:
  """Reads a catalog that `save` wrote."""
  names = json.loads((folder / NAMES).read_text())
  frame = pd.read_parquet(folder / ITEMS)

  def columns(prefix: str, dtype: type) -> Shaped[np.ndarray, "v f"]:
    found = [c for c in frame if c.startswith(prefix)]
    return _after_none(frame[found].to_numpy(dtype))

  return Catalog(
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
) -> Catalog:
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
