"""Where a log is cut, by time or before each user's last engagements."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.data import schema

DAY = 86400  # seconds
SPLITS = ("validation", "test")


def starts(vocabulary: schema.Vocabulary, split: str) -> int:
  """Returns the unix second a split starts at; 0 if each user has a place."""
  return {
    "validation": vocabulary.validation_from,
    "test": vocabulary.test_from,
  }[split]


def before(
  vocabulary: schema.Vocabulary, events: schema.Events, split: str
) -> int:
  """Returns how many of a user's events lie before a split.

  Where each user's last engagements are held out, users who have no other have
  none to spare, and all their events lie before.
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


def changed(
  known: catalog_lib.Catalog,
  events: Sequence[schema.Events],
  config: config_lib.Data,
) -> tuple[catalog_lib.Catalog, Sequence[schema.Events]]:
  """Returns a log with its cuts where the configuration wants them.

  Its candidates, and the gaps that offsets may be fitted to, stay those of the
  whole log.

  Raises:
    ValueError: if the log is not split in the way that a field is of.
  """
  if config.split_shift_days:
    known, events = _moved_back(known, events, config.split_shift_days)
  if config.held_out_events > 1:
    known = _held_out(known, config.held_out_events)
  return known, events


def _moved_back(
  known: catalog_lib.Catalog, events: Sequence[schema.Events], days: int
) -> tuple[catalog_lib.Catalog, Sequence[schema.Events]]:
  """Returns the log as if it ended where its test begins, split days earlier.

  Raises:
    ValueError: if the log is split by each user's last engagement.
  """
  vocabulary = known.vocabulary
  if not vocabulary.test_from:
    raise ValueError(
      f"config.data.split_shift_days is {days}, and each user's last engagement is "
      "the test of this log, not what comes after some day; use 0"
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
      f"config.data.held_out_events is {number}, and this log is split by time, not "
      "by each user's last engagements; use 1"
    )
  held = dataclasses.replace(known.vocabulary, held_out=number)
  return dataclasses.replace(known, vocabulary=held)
