"""The prepared form of a published log: one TFDS record a user."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds

from pinrec_jax.data import catalog, histories, schema, splits

PARTS = ("engagements", "impressions", "contexts")
# Which part an event is in says the rest.
STORED = [n for n in schema.COLUMNS if n not in ("engaged", "context")]


def features(actions: int) -> tfds.features.FeaturesDict:
  """Returns the types of a user's record.

  Engagements, impression-only events and request contexts are apart. `order`
  says how they interleave, since the oldest events may have no time.
  """
  columns: dict[str, Any] = {"order": np.int32}
  columns |= {name: schema.COLUMNS[name]["dtype"] for name in STORED}
  part = {
    name: tfds.features.Tensor(
      shape=(None, actions) if name == "actions" else (None,), dtype=dtype
    )
    for name, dtype in columns.items()
  }
  return tfds.features.FeaturesDict(
    {"user": tfds.features.Text(), **{name: dict(part) for name in PARTS}}
  )


def gaps(log: pd.DataFrame, *, before: int = 0) -> tuple[int, ...]:
  """Returns percentiles of the seconds between engagements, as in `Vocabulary`.

  Args:
    log: as for `examples`.
    before: unix second at which the validation starts. If it is 0, each user's
      last two engagements are left out.
  """
  dated = log["engaged"] & log["time"].notna() & log.get("dated", True)
  dated = log.loc[dated, ["user", "time"]]
  dated = dated.sort_values(["user", "time"], kind="stable")
  return splits.percentiles(
    splits.training_gaps(
      dated["user"].to_numpy(), dated["time"].to_numpy(np.int64), before
    )
  )


def parts(log: pd.DataFrame, rows: int = 2**21) -> Iterator[pd.DataFrame]:
  """Cuts a log into parts of whole users, for `examples` one by one.

  Args:
    log: as for `examples`, with each user's rows together.
    rows: target size of a part. The last user of a part may exceed it.
  """
  user = log["user"].to_numpy()
  starts = np.flatnonzero(np.append(True, user[1:] != user[:-1]))
  first = np.flatnonzero(np.diff(starts // rows, prepend=-1))
  for start, end in itertools.pairwise([*starts[first], len(log)]):
    yield log.iloc[start:end]


def examples(
  log: pd.DataFrame, known: catalog.Catalog
) -> Iterator[tuple[str, dict[str, Any]]]:
  """Yields (key, example), one a user.

  Args:
    log: one row an event, oldest first where times are equal or missing. It
      has `user`, `item`, `time` (unix seconds; missing times come first),
      `engaged`, and one column an action. It may have the other columns of
      `schema.Events`: `surface`, `session` (a number) and so on. `context` says
      which events are the queries and items of requests. `dated` is False for
      an event whose `time` says its place in the history and nothing else. Its
      record has no time.
    known: the catalog of the log; its actions name columns.

  Raises:
    ValueError: if an item of the log is not in the catalog, or if an event is
      both engaged with and context.
  """
  time = log["time"].fillna(schema.UNKNOWN_TIME).astype(np.int64)
  log = log.assign(time=time).sort_values(["user", "time"], kind="stable")
  if "dated" in log:
    log["time"] = log["time"].where(log["dated"], schema.UNKNOWN_TIME)
  item = pd.Index(known.items.ids[1:]).get_indexer(pd.Index(log["item"])) + 1
  if (item == schema.NO_ITEM).any():
    unknown = log["item"].to_numpy()[item == schema.NO_ITEM][0]
    raise ValueError(f"item {unknown} of the log is not in the item table")
  columns: dict[str, Any] = {
    name: log[name].fillna(column["missing"]).to_numpy()
    for name, column in schema.COLUMNS.items()
    if name in log and name not in schema.DERIVED
  }
  actions = log[list(known.vocabulary.actions)].fillna(0).to_numpy()
  columns |= {
    "item": item,
    "item_type": known.items.item_type[item],
    "actions": actions.astype(np.uint8),
    "engaged": log["engaged"].to_numpy(),
  }
  everything = histories.of_columns(columns)
  if both := int((everything.engaged & everything.context).sum()):
    raise ValueError(
      f"{both} events are both engaged with and context; write each of them as "
      "two events"
    )
  users, starts = np.unique(log["user"].to_numpy(), return_index=True)
  ends = np.append(starts[1:], len(log))
  for user, start, end in zip(users, starts, ends, strict=True):
    events = everything.where(slice(start, end))
    shown_only = ~(events.engaged | events.context)
    masks = (events.engaged, shown_only, events.context)
    example: dict[str, Any] = {"user": str(user)}
    for name, mask in zip(PARTS, masks, strict=True):
      example[name] = {"order": np.flatnonzero(mask).astype(np.int32)}
      for column in STORED:
        example[name][column] = getattr(events, column)[mask]
    yield example["user"], example


def events(example: Mapping[str, Any]) -> schema.Events:
  """Merges the parts of a record into one history."""
  found = [example[name] for name in PARTS]
  order = np.argsort(np.concatenate([part["order"] for part in found]))
  part_of = np.repeat(PARTS, [len(part["order"]) for part in found])[order]
  return schema.Events(
    **{
      name: np.concatenate([part[name] for part in found])[order]
      for name in STORED
    },
    engaged=part_of == "engagements",
    context=part_of == "contexts",
  )
