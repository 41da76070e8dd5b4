"""The prepared form of a log: one record a user, beside an item table."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds

from pinrec_jax.data import catalog, counts, schema

PARTS = ("engagements", "impressions", "contexts")


def features(actions: int) -> tfds.features.FeaturesDict:
  """Returns what a user's record holds.

  Engagements, shown-only impressions and request contexts lie apart; `order`
  says how they interleave, since the oldest events may have no time.
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
    "session": column(np.int32),
  }
  return tfds.features.FeaturesDict(
    {
      "user": tfds.features.Text(),
      "engagements": events,
      "impressions": dict(events),
      "contexts": dict(events),
    }
  )


def gaps(log: pd.DataFrame, *, before: int = 0) -> counts.Counts:
  """Returns the seconds between engagements that training may know of.

  Args:
    log: as for `examples`.
    before: when the validation starts, unix seconds; 0 leaves each user's last
      two engagements aside.
  """
  dated = log.loc[log["engaged"] & log["time"].notna(), ["user", "time"]]
  dated = dated.sort_values(["user", "time"], kind="stable")
  if before:
    dated = dated[dated["time"] < before]
  else:
    dated = dated.groupby("user").head(-2)
  apart = dated.groupby("user")["time"].diff().dropna()
  return counts.Counts(apart.to_numpy(np.int64))


def percentiles(apart: counts.Counts) -> tuple[int, ...]:
  """Returns percentiles 1 to 99, whole seconds; nothing of nothing."""
  if not apart.total:
    return ()
  return tuple(int(at) for at in apart.percentiles(range(1, 100)))


def parts(log: pd.DataFrame, rows: int = 2**21) -> Iterator[pd.DataFrame]:
  """Cuts a log into parts of about as many rows, for `examples` one by one.

  Args:
    log: as for `examples`, each user's rows together.
    rows: a part has more only for the sake of its last user.
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
    log: one row an event, oldest first where times are equal or missing:
      `user`, `item`, `time` (unix seconds, missing: before every dated
      event), `surface` (missing: unknown), `engaged`, a column an action and,
      where there are any, `session`, a number, and `context`: the queries and
      items a request was made with, which are read and never predicted.
    known: every item of the log, and the actions that name its columns.

  Raises:
    ValueError: if an item of the log is not known, or if an event is both
      engaged with and context.
  """
  item = pd.Index(known.items.ids[1:]).get_indexer(pd.Index(log["item"])) + 1
  if (item == schema.NO_ITEM).any():
    lost = log["item"].to_numpy()[item == schema.NO_ITEM][0]
    raise ValueError(f"item {lost} of the log is not in the item table")
  log = log.assign(
    item=item,
    item_type=known.items.item_type[item],
    time=log["time"].fillna(schema.UNKNOWN_TIME).astype(np.int64),
    surface=log["surface"].fillna(0).astype(np.int32),
  )
  if "session" not in log:
    log = log.assign(session=schema.UNKNOWN_SESSION)
  log = log.sort_values(["user", "time"], kind="stable")
  actions = (
    log[list(known.vocabulary.actions)].fillna(0).to_numpy().astype(np.uint8)
  )
  columns = {
    name: log[name].to_numpy().astype(np.int32)
    for name in ("item", "surface", "item_type", "session")
  }
  columns |= {"actions": actions, "time": log["time"].to_numpy()}
  engaged = log["engaged"].to_numpy()
  context = np.zeros_like(engaged)
  if "context" in log:
    context = log["context"].to_numpy()
  if (engaged & context).any():
    raise ValueError(
      f"{(engaged & context).sum()} events are both engaged with and context; "
      "write such an event as two"
    )
  users, starts = np.unique(log["user"].to_numpy(), return_index=True)
  ends = np.append(starts[1:], len(log))
  for user, start, end in zip(users, starts, ends, strict=True):
    own, about = engaged[start:end], context[start:end]
    example: dict[str, Any] = {"user": str(user)}
    parts = (own, ~(own | about), about)
    for name, keep in zip(PARTS, parts, strict=True):
      order = np.flatnonzero(keep).astype(np.int32)
      part = {key: column[start:end][keep] for key, column in columns.items()}
      example[name] = {"order": order, **part}
    yield example["user"], example


def events(example: Mapping[str, Any]) -> schema.Events:
  """Merges the parts of a record back into one history."""
  parts = [example[name] for name in PARTS]
  order = np.argsort(np.concatenate([part["order"] for part in parts]))
  part_of = np.repeat(PARTS, [len(part["order"]) for part in parts])[order]
  columns = {
    key: np.concatenate([part[key] for part in parts])[order]
    for key in ("item", "actions", "surface", "item_type", "time", "session")
  }
  return schema.Events(
    **columns,
    engaged=part_of == "engagements",
    context=part_of == "contexts",
  )
