"""What a prepared log holds, in figures."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int

from pinrec_jax.data import counts as counts_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import histories, schema, splits
from pinrec_jax.types import Number

PERCENTILES = (5, 25, 50, 75, 95)


class LogStatistics(NamedTuple):
  """Flat figures, and the values behind those of a spread."""

  figures: dict[str, Number]
  # "length", engagements a user; "gap", seconds between two of them;
  # "session", engagements with no longer gap between.
  spreads: Mapping[str, counts_lib.Counts]


def of_dataset(dataset: dataset_lib.Dataset, session_gap: int) -> LogStatistics:
  """Returns what there is of users, items, events, actions and surfaces.

  Args:
    dataset: the log.
    session_gap: seconds without an engagement that end a session.
  """
  vocabulary = dataset.vocabulary
  actions = np.zeros(len(vocabulary.actions), int)
  surfaces = np.zeros(len(vocabulary.surfaces), int)
  events = engaged = context = undated = unlisted = single = 0
  spreads = {n: counts_lib.Counts() for n in ("length", "gap", "session")}
  for user in dataset.events:
    actions += user.actions.sum(0, dtype=int)
    surfaces += np.bincount(user.surface, minlength=len(surfaces))
    events += len(user)
    engaged += int(user.engaged.sum())
    context += int(user.context.sum())
    undated += int((user.time == schema.UNKNOWN_TIME).sum())
    unlisted += int((~dataset.items.candidate[user.item]).sum())
    acted = user.where(user.engaged)
    dated = acted.where(acted.time != schema.UNKNOWN_TIME)
    single += len(acted) == 1
    if len(acted):
      spreads["length"].add(np.array([len(acted)]))
    if len(dated):
      spreads["gap"].add(np.diff(dated.time))
      number = histories.sessions(dated, session_gap)
      spreads["session"].add(np.unique(number, return_counts=True)[1])
  report: dict[str, Number] = {
    "users": len(dataset.users),
    "users/engaged": spreads["length"].total,
    "users/one_engagement": single,
    "items": len(dataset.items.ids) - 1,
    "items/candidates": int(dataset.items.candidate.sum()),
    "events": events,
    "events/engagements": engaged,
    "events/shown_only": events - engaged - context,
    "events/context": context,
    "events/undated": undated,
    "events/of_items_that_are_no_candidates": unlisted,
  }
  for name, count in zip(vocabulary.actions, actions, strict=True):
    report[f"actions/{name}"] = int(count)
  for name, count in zip(vocabulary.surfaces, surfaces, strict=True):
    report[f"surfaces/{name}"] = int(count)
  for name, spread in spreads.items():
    report[f"{name}/count"] = spread.total
    if spread.total:
      report[f"{name}/mean"] = spread.mean
      found = spread.percentiles(PERCENTILES)
      for percent, value in zip(PERCENTILES, found, strict=True):
        report[f"{name}/p{percent}"] = float(value)
  return LogStatistics(report, spreads)


def recent(
  dataset: dataset_lib.Dataset, events: schema.Events, split: str
) -> schema.Events:
  """Returns the targets before a split that say what is usual.

  In a log split by time these are the dated ones alone.
  """
  earlier = events
  if split:
    earlier = splits.past(dataset.vocabulary, events, split)
  usual = dataset.aim.met(earlier)
  if dataset.vocabulary.test_from:
    usual = usual & (earlier.time != schema.UNKNOWN_TIME)
  return earlier.where(usual)


def outcome_fractions(dataset: dataset_lib.Dataset) -> Float32[np.ndarray, "o"]:
  """Returns each outcome's share of the recent training targets' actions."""
  outcomes = dataset.vocabulary.outcomes
  counts = np.zeros(outcomes)
  for events in dataset.events:
    usual = recent(dataset, events, "validation")
    counts += usual.actions[:, :outcomes].sum(0)
  counts *= dataset.aim.aimed(outcomes)
  return (counts / max(counts.sum(), 1)).astype(np.float32)


def most_popular(
  dataset: dataset_lib.Dataset, split: str = ""
) -> Int[np.ndarray, "c"]:
  """Returns all candidates, those with the most engagements first.

  In a log that is split by time, only engagements with a time count. Of equal
  counts, the lower row comes first.

  Args:
    dataset: the log.
    split: a period; only engagements before it count. By default all do.
  """
  counts = np.zeros(len(dataset.items.ids))
  for events in dataset.events:
    np.add.at(counts, recent(dataset, events, split).item, 1)
  counts[~dataset.items.candidate] = -1
  ranked = np.argsort(-counts, kind="stable")
  return ranked[: dataset.items.candidate.sum()].astype(np.int32)


def cold_items(
  dataset: dataset_lib.Dataset, split: str
) -> Bool[np.ndarray, "v"]:
  """Returns which items no user engaged with before a split."""
  return _engagements(dataset, split) == 0


def item_groups(
  dataset: dataset_lib.Dataset, split: str
) -> dict[str, Bool[np.ndarray, "v"]]:
  """Returns the items by how often they were engaged with before a split.

  "head": the fewest that have half of all engagements; "tail": the others that
  have any; "new": those that have none.
  """
  counts = _engagements(dataset, split)
  ranked = np.argsort(-counts, kind="stable")
  before = np.cumsum(counts[ranked]) - counts[ranked]
  head = np.zeros(len(counts), bool)
  head[ranked] = 2 * before < counts.sum()
  engaged = counts > 0
  found = {"head": head & engaged, "tail": ~head & engaged, "new": ~engaged}
  return found


def _engagements(
  dataset: dataset_lib.Dataset, split: str
) -> Int[np.ndarray, "v"]:
  """Returns how often each item was engaged with before a split."""
  counts = np.zeros(len(dataset.items.ids), int)
  for events in dataset.events:
    earlier = splits.past(dataset.vocabulary, events, split)
    np.add.at(counts, earlier.item[earlier.engaged], 1)
  return counts
