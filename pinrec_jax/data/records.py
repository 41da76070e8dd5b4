"""The prepared form of a log: one record a user, beside an item table."""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds

from pinrec_jax.data import schema

ITEMS = "items.parquet"


def features(actions: int) -> tfds.features.FeaturesDict:
  """Returns what a user's record holds.

  Engagements and shown-only impressions lie apart; `order` says how they
  interleave, since the oldest events may have no time.
  """

  def column(dtype: Any, *rest: int) -> tfds.features.Tensor:
    return tfds.features.Tensor(shape=(None, *rest), dtype=dtype)

  events = {
    "order": column(np.int32),
    "item": column(np.int32),
    "actions": column(np.uint8, actions),
    "surface": column(np.int32),
    "item_type": column(np.int32),
    "time": column(np.int64),
  }
  return tfds.features.FeaturesDict({
    "user": tfds.features.Text(),
    "engagements": events,
    "impressions": dict(events),
  })


@dataclasses.dataclass(frozen=True)
class ItemTable:
  """The items of a log, and the vocabulary their features need."""

  frame: pd.DataFrame
  vocabulary: Mapping[str, Any]


def item_table(items: pd.DataFrame, candidates: np.ndarray) -> ItemTable:
  """Encodes the items' features as small integers.

  Args:
    items: one row an item: `item`, `item_type`, categorical columns (several
      slots of one feature are named feature.0, feature.1, ...) and numbers
      named dense.*.
    candidates: the ids that may be recommended.
  """
  if items["item"].duplicated().any():
    twice = items.loc[items["item"].duplicated(), "item"].iloc[0]
    raise ValueError(f"item {twice!r} is listed twice; keep one row an item")
  described = [
    c for c in items if c not in ("item", "item_type") and c[:6] != "dense."
  ]
  groups: dict[str, list[str]] = {}
  for column in described:
    groups.setdefault(column.split(".")[0], []).append(column)
  encoded = {
    "item": items["item"],
    "candidate": items["item"].isin(candidates),
  }
  kinds, types = pd.factorize(items["item_type"], sort=True)
  encoded["item_type"] = kinds.astype(np.int32)
  vocabulary = []
  for name, columns in groups.items():
    values = pd.Index(pd.unique(items[columns].to_numpy().ravel())).dropna()
    for column in columns:
      codes = values.get_indexer(pd.Index(items[column])) + 1
      encoded[f"cat.{column}"] = codes.astype(np.int32)
    vocabulary.append(schema.Feature(name, len(values) + 1, len(columns)))
  for column in items:
    if column.startswith("dense."):
      encoded[column] = items[column].astype(np.float32)
  return ItemTable(
    pd.DataFrame(encoded),
    {"item_types": tuple(map(str, types)), "features": tuple(vocabulary)},
  )


def write(
  log: pd.DataFrame,
  items: ItemTable,
  vocabulary: schema.Vocabulary,
  folder: pathlib.Path,
) -> Iterator[tuple[str, dict[str, Any]]]:
  """Writes the item table and yields (key, example), one a user.

  Args:
    log: one row an event, oldest first where times are equal or missing:
      `user`, `item`, `time` (unix seconds, missing: before every dated
      event), `surface` (missing: unknown), `engaged`, a column an action.
    items: every item of the log.
    vocabulary: its actions name the columns.
    folder: where the item table goes.
  """
  folder.mkdir(parents=True, exist_ok=True)
  items.frame.to_parquet(folder / ITEMS, index=False)
  rows = pd.Index(items.frame["item"])
  item = rows.get_indexer(pd.Index(log["item"]))
  if (item < 0).any():
    lost = log["item"][item < 0].iloc[0]
    raise ValueError(f"item {lost!r} of the log is not in the item table")
  log = log.assign(
    item=item + 1,
    item_type=items.frame["item_type"].to_numpy()[item],
    time=log["time"].fillna(schema.UNKNOWN_TIME).astype(np.int64),
    surface=log["surface"].fillna(0).astype(np.int32),
  )
  log = log.sort_values(["user", "time"], kind="stable")
  actions = (
    log[list(vocabulary.actions)].fillna(0).to_numpy().astype(np.uint8)
  )
  columns = {
    name: log[name].to_numpy().astype(np.int32)
    for name in ("item", "surface", "item_type")
  }
  columns |= {"actions": actions, "time": log["time"].to_numpy()}
  engaged = log["engaged"].to_numpy()
  users, starts = np.unique(log["user"].to_numpy(), return_index=True)
  ends = np.append(starts[1:], len(log))
  for user, start, end in zip(users, starts, ends, strict=True):
    own = engaged[start:end]
    example: dict[str, Any] = {"user": str(user)}
    for name, keep in (("engagements", own), ("impressions", ~own)):
      order = np.flatnonzero(keep).astype(np.int32)
      part = {key: column[start:end][keep] for key, column in columns.items()}
      example[name] = {"order": order, **part}
    yield example["user"], example


def events(example: Mapping[str, Any]) -> schema.Events:
  """Merges a record's engagements and impressions back into one history."""
  parts = [example["engagements"], example["impressions"]]
  order = np.argsort(np.concatenate([part["order"] for part in parts]))
  engaged = np.arange(len(order)) < len(parts[0]["order"])
  columns = {
    key: np.concatenate([part[key] for part in parts])[order]
    for key in ("item", "actions", "surface", "item_type", "time")
  }
  return schema.Events(**columns, engaged=engaged[order])
