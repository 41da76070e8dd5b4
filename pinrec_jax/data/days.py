"""The part of a log that one day's update trains on and is measured by."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import histories, schema

CONTEXT = 4  # Part of a row that events of earlier days may fill: a quarter.
DRAWS = 4  # Windows that may be drawn for each replayed target.


class Day(NamedTuple):
  """What an update trains on.

  Attributes:
    dataset: histories whose targets are new or replayed.
    targets: number of new targets.
    replayed: number of targets of earlier days.
  """

  dataset: dataset_lib.Dataset
  targets: int
  replayed: int


def newest(dataset: dataset_lib.Dataset) -> int:
  """Returns the unix second of the newest event; 0 if no event has a time."""
  return max(
    (int(own.time.max(initial=0)) for own in dataset.events), default=0
  )


def at(dataset: dataset_lib.Dataset, moment: int) -> dataset_lib.Dataset:
  """Returns a log whose test period starts at a moment, without validation."""
  vocabulary = dataclasses.replace(
    dataset.vocabulary, validation_from=moment, test_from=moment, held_out=1
  )
  known = dataclasses.replace(dataset.catalog, vocabulary=vocabulary)
  return dataclasses.replace(dataset, catalog=known)


def training(
  dataset: dataset_lib.Dataset,
  *,
  since: int,
  until: int,
  replay: float,
  length: int,
  history_events: str,
  seed: int,
) -> Day:
  """Returns the histories that an update trains on.

  A user with new targets has the events before them as context, up to a quarter
  of a row, and these are no targets. Replayed histories end at a random target
  of an earlier day; every such target is equally likely.

  Args:
    dataset: the whole log.
    since: unix second from which targets are new.
    until: unix second at which training ends.
    replay: fraction of all targets that are of earlier days.
    length: positions of a row.
    history_events: as in `config.Data`.
    seed: of the draws.
  """
  names, parts = [], []
  targets, old = 0, np.zeros(len(dataset.users), int)
  for number, user in enumerate(dataset.users):
    events = dataset.events[number]
    first, end = np.searchsorted(events.time, (since, until))
    met = dataset.aim.met(events)
    old[number] = met[:first].sum()
    if new := int(met[first:end].sum()):
      targets += new
      names.append(user)
      recent = events.where(slice(end))
      parts.append(_with_context(recent, int(first), length, history_events))
  wanted = round(targets * replay / (1 - replay))
  windows, replayed = _replayed(dataset, old, wanted, since, length, seed)
  names += [f"replay {n}" for n in range(len(windows))]
  whole = dataclasses.replace(
    at(dataset, until), users=tuple(names), events=[*parts, *windows]
  )
  return Day(whole, targets, replayed)


def _with_context(
  events: schema.Events, first: int, length: int, history_events: str
) -> schema.Events:
  """Returns the events from `first` on, after some that are context."""
  readable = histories.readable(events, history_events)
  before = np.flatnonzero(readable[:first])[-max(length // CONTEXT, 1) :]
  start = int(before[0]) if len(before) else first
  early = np.arange(len(events)) < first
  whole = dataclasses.replace(
    events,
    engaged=events.engaged & ~early,
    context=events.context | (early & readable),
  )
  return whole.where(slice(start, None))


def _replayed(
  dataset: dataset_lib.Dataset,
  old: Int[np.ndarray, "u"],
  wanted: int,
  since: int,
  length: int,
  seed: int,
) -> tuple[list[schema.Events], int]:
  """Returns windows of earlier days, and the number of their targets."""
  found: list[schema.Events] = []
  targets, total = 0, int(old.sum())
  if not wanted or not total:
    return found, 0
  random = np.random.default_rng((seed, since))
  # A place among all earlier targets says the user and the last target.
  draws = random.integers(total, size=DRAWS * wanted)
  ends = np.cumsum(old)
  for place in draws.tolist():
    user = int(np.searchsorted(ends, place, side="right"))
    events = dataset.events[user]
    met = np.flatnonzero(dataset.aim.met(events))
    last = int(met[place - (ends[user] - old[user])])
    window = events.where(slice(max(last - length + 2, 0), last + 1))
    found.append(window)
    targets += int(dataset.aim.met(window).sum())
    if targets >= wanted:
      break
  return found, targets
