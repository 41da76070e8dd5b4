"""Splits of a log: by time, or by each user's last engagements."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Shaped

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.data import counts, schema

DAY = 86400  # seconds
SPLITS = ("validation", "test")


def starts(vocabulary: schema.Vocabulary, split: str) -> int:
  """Returns the unix second at which a split starts; 0 without a time split."""
  return {
    "validation": vocabulary.validation_from,
    "test": vocabulary.test_from,
  }[split]


def before(
  vocabulary: schema.Vocabulary, events: schema.Events, split: str
) -> int:
  """Returns the number of a user's events before a split.

  Without a time split, a user must have more engagements than are held out in
  both splits. All events of other users are before the split.
  """
  if start := starts(vocabulary, split):
    return int((events.time < start).sum())
  engaged, held = np.flatnonzero(events.engaged), vocabulary.held_out
  if len(engaged) <= len(SPLITS) * held:
    return len(events)
  return int(engaged[(SPLITS.index(split) - len(SPLITS)) * held])


def past(
  vocabulary: schema.Vocabulary, events: schema.Events, split: str
) -> schema.Events:
  """Returns a user's events before a split."""
  return events.where(slice(before(vocabulary, events, split)))


def training_gaps(
  user: Shaped[np.ndarray, "_"],
  time: Int[np.ndarray, "_"],
  validation_from: int,
) -> counts.Counts:
  """Returns the seconds between the engagements that training may know.

  Args:
    user: the user of every dated engagement, one user after the other.
    time: its unix seconds; they do not fall within a user.
    validation_from: unix second at which the validation starts. If it is 0,
      each user's last two engagements are left out.
  """
  same = user[1:] == user[:-1]
  if validation_from:
    known = time[1:] < validation_from
  else:
    starts = np.flatnonzero(np.append(True, ~same)[: len(user)])
    ends = np.append(starts, len(user))[1:]
    last = np.repeat(ends, ends - starts)
    known = np.arange(1, len(user)) < last[1:] - len(SPLITS)
  return counts.Counts.of(np.diff(time)[same & known])


def percentiles(gaps: counts.Counts) -> tuple[int, ...]:
  """Returns percentiles 1 to 99 in whole seconds; none if there is no gap."""
  if not gaps.total:
    return ()
  return tuple(int(at) for at in gaps.percentiles(range(1, 100)))


def changed(
  known: catalog_lib.Catalog,
  events: Sequence[schema.Events],
  config: config_lib.Data,
) -> tuple[catalog_lib.Catalog, Sequence[schema.Events]]:
  """Returns a log with its splits where the configuration wants them.

  The candidates, and the gaps to which offsets may be fitted, stay those of
  the whole log.

  Raises:
    ValueError: if a field does not suit the way in which the log is split.
  """
  if config.split_shift_days:
    known, events = _shifted(known, events, config.split_shift_days)
  if config.held_out_events > 1:
    known = _held_out(known, config.held_out_events)
  return known, events


def _shifted(
  known: catalog_lib.Catalog, events: Sequence[schema.Events], days: int
) -> tuple[catalog_lib.Catalog, Sequence[schema.Events]]:
  """Returns the log without its test period, its splits some days earlier.

  Raises:
    ValueError: if the log is not split by time.
  """
  vocabulary = known.vocabulary
  if not vocabulary.test_from:
    raise ValueError(
      f"config.data.split_shift_days is {days}, and this log is not split by "
      "time: the last engagements of each user are its test; use 0"
    )
  end = vocabulary.test_from
  earlier = dataclasses.replace(
    vocabulary,
    validation_from=vocabulary.validation_from - days * DAY,
    test_from=end - days * DAY,
  )
  kept = [part.where(slice(int((part.time < end).sum()))) for part in events]
  return dataclasses.replace(known, vocabulary=earlier), kept


def _held_out(known: catalog_lib.Catalog, number: int) -> catalog_lib.Catalog:
  """Returns the catalog of a log that holds out more of each user.

  Raises:
    ValueError: if the log is split by time.
  """
  if known.vocabulary.test_from:
    raise ValueError(
      f"config.data.held_out_events is {number}, and this log is split by "
      "time, not by the last engagements of each user; use 1"
    )
  held = dataclasses.replace(known.vocabulary, held_out=number)
  return dataclasses.replace(known, vocabulary=held)
