"""What a prepared log holds, in figures."""

import collections
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int

from pinrec_jax.data import counts as counts_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import histories, kept, schema, splits
from pinrec_jax.types import Number

PERCENTILES = (5, 25, 50, 75, 95)


class LogStatistics(NamedTuple):
  """What a log holds.

  Attributes:
    figures: flat figures.
    spreads: exact distributions: "length", engagements of a user; "gap",
      seconds between two of them; "session", engagements of a session.
  """

  figures: dict[str, Number]
  spreads: Mapping[str, counts_lib.Counts]


def of_dataset(dataset: dataset_lib.Dataset, session_gap: int) -> LogStatistics:
  """Returns the numbers of users, items, events, actions and surfaces.

  A session ends after `session_gap` seconds without an engagement.
  """
  figures, spreads = kept.once(
    dataset, "statistics", lambda: _measure(dataset, session_gap), session_gap
  )
  return LogStatistics(
    figures,
    {
      name: counts_lib.Counts(*np.array(own, np.int64))
      for name, own in spreads.items()
    },
  )


def _measure(
  dataset: dataset_lib.Dataset, session_gap: int
) -> tuple[dict[str, Number], dict[str, list[list[int]]]]:
  """Returns the figures, and the values and counts of the distributions."""
  names = dataset.vocabulary
  found = collections.Counter[str]()
  actions = np.zeros(len(names.actions), int)
  surfaces = np.zeros(len(names.surfaces), int)
  spreads = {n: counts_lib.Counts() for n in ("length", "gap", "session")}
  times: list[np.integer] = []
  for _, events, user in histories.parts(dataset.events):
    actions += events.actions.sum(0, dtype=int)
    surfaces += np.bincount(events.surface, minlength=len(surfaces))
    dated = events.time != schema.UNKNOWN_TIME
    if dated.any():
      times += [events.time[dated].min(), events.time.max()]
    lengths = np.bincount(user[events.engaged])
    found.update(
      events=len(events),
      engagements=int(events.engaged.sum()),
      context=int(events.context.sum()),
      undated=int((~dated).sum()),
      unlisted=int((~dataset.items.candidate[events.item]).sum()),
      single=int((lengths == 1).sum()),
    )
    acted = np.flatnonzero(events.engaged & dated)
    who, time = user[acted], events.time[acted]
    same = who[1:] == who[:-1]
    spreads["length"] += counts_lib.Counts.of(lengths[lengths > 0])
    spreads["gap"] += counts_lib.Counts.of(np.diff(time)[same])
    spreads["session"] += counts_lib.Counts.of(
      _session_lengths(events, acted, who, session_gap)
    )
  report: dict[str, Number] = {
    "users": len(dataset.users),
    "users/engaged": spreads["length"].total,
    "users/one_engagement": found["single"],
    "items": len(dataset.items.ids) - 1,
    "items/candidates": int(dataset.items.candidate.sum()),
    "events": found["events"],
    "events/engagements": found["engagements"],
    "events/shown_only": (
      found["events"] - found["engagements"] - found["context"]
    ),
    "events/context": found["context"],
    "events/undated": found["undated"],
    "events/of_items_that_are_not_candidates": found["unlisted"],
  }
  if times:
    report |= {"time/first": int(min(times)), "time/last": int(max(times))}
  for name, count in zip(names.actions, actions.tolist(), strict=True):
    report[f"actions/{name}"] = count
  for name, count in zip(names.surfaces, surfaces.tolist(), strict=True):
    report[f"surfaces/{name}"] = count
  return report | _spread_figures(spreads), {
    name: [own.values.tolist(), own.counts.tolist()]
    for name, own in spreads.items()
  }


def _spread_figures(
  spreads: Mapping[str, counts_lib.Counts],
) -> dict[str, Number]:
  """Returns the count, the mean and percentiles of distributions."""
  report: dict[str, Number] = {}
  for name, spread in spreads.items():
    report[f"{name}/count"] = spread.total
    if spread.total:
      report[f"{name}/mean"] = spread.mean
      places = spread.percentiles(PERCENTILES).tolist()
      for percent, value in zip(PERCENTILES, places, strict=True):
        report[f"{name}/p{percent}"] = value
  return report


def _session_lengths(
  events: schema.Events,
  acted: Int[np.ndarray, "n"],
  user: Int[np.ndarray, "n"],
  gap: int,
) -> Int[np.ndarray, "_"]:
  """Returns the engagements of each session.

  Args:
    events: of several users.
    acted: places of the dated engagements.
    user: the user of each.
    gap: as for `of_dataset`.
  """
  other = user[1:] != user[:-1]
  if (events.session[acted] != schema.UNKNOWN_SESSION).any():
    parts = np.split(acted, np.flatnonzero(other) + 1)
    found = [histories.sessions(events.where(own), gap) for own in parts]
    return np.concatenate([np.unique(n, return_counts=True)[1] for n in found])
  apart = other | (np.diff(events.time[acted]) > gap)
  starts = np.flatnonzero(np.append(True, apart)[: len(acted)])
  return np.diff(starts, append=len(acted))


def recent(
  dataset: dataset_lib.Dataset, events: schema.Events, split: str
) -> schema.Events:
  """Returns the targets before a split.

  In a log that is split by time, targets without a time are left out.
  """
  earlier = events
  if split:
    earlier = splits.past(dataset.vocabulary, events, split)
  chosen = dataset.aim.met(earlier)
  if dataset.vocabulary.test_from:
    chosen = chosen & (earlier.time != schema.UNKNOWN_TIME)
  return earlier.where(chosen)


def training_engagements(dataset: dataset_lib.Dataset) -> int:
  """Returns the number of engagements before the validation."""
  return kept.once(
    dataset,
    "training_engagements",
    lambda: sum(
      len(recent(dataset, events, "validation")) for events in dataset.events
    ),
  )


def outcome_fractions(dataset: dataset_lib.Dataset) -> Float32[np.ndarray, "o"]:
  """Returns the fraction of each outcome among those of training targets."""
  outcomes = dataset.vocabulary.outcomes

  def _count() -> list[int]:
    counts = np.zeros(outcomes, int)
    for events in dataset.events:
      targets = recent(dataset, events, "validation")
      counts += targets.actions[:, :outcomes].sum(0, dtype=int)
    return counts.tolist()

  counts = np.array(kept.once(dataset, "outcomes", _count), float)
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
  counts = _counted(
    dataset, "popularity", split, lambda own: recent(dataset, own, split).item
  )
  counts[~dataset.items.candidate] = -1
  ranked = np.argsort(-counts, kind="stable")
  return ranked[: dataset.items.candidate.sum()].astype(np.int32)


def cold_items(
  dataset: dataset_lib.Dataset, split: str
) -> Bool[np.ndarray, "v"]:
  """Returns the items that no user engaged with before a split."""
  return _engagements(dataset, split) == 0


def item_groups(
  dataset: dataset_lib.Dataset, split: str
) -> dict[str, Bool[np.ndarray, "v"]]:
  """Returns the items by how often they were engaged with before a split.

  "head" has the most popular items, which together have half of all
  engagements. "tail" has the others with an engagement, "new" those without.
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

  def _items(events: schema.Events) -> Int[np.ndarray, "_"]:
    earlier = splits.past(dataset.vocabulary, events, split)
    return earlier.item[earlier.engaged]

  return _counted(dataset, "engagements", split, _items)


def _counted(
  dataset: dataset_lib.Dataset,
  name: str,
  split: str,
  items: Callable[[schema.Events], Int[np.ndarray, "_"]],
) -> Int[np.ndarray, "v"]:
  """Returns how often each item is among some items of all users."""
  size = len(dataset.items.ids)

  def _count() -> list[int]:
    counts = np.zeros(size, int)
    for events in dataset.events:
      np.add.at(counts, items(events), 1)
    return counts.tolist()

  return np.array(kept.once(dataset, name, _count, split, size))
