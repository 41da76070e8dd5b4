"""Where a log is cut, by time or before each user's last engagements."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalogue as catalogue_lib
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
  known: catalogue_lib.Catalogue,
  events: Sequence[schema.Events],
  config: config_lib.Data,
) -> tuple[catalogue_lib.Catalogue, Sequence[schema.Events]]:
  """Returns a log with its cuts where the configuration wants them.

  Its candidates, and the gaps that offsets may be fitted to, stay those of the
  whole log.

  Raises:
    ValueError: if the log is not split in the way that a field is of.
  """
  if config.days_back:
    known, events = _moved_back(known, events, config.days_back)
  if config.held_out > 1:
    known = _held_out(known, config.held_out)
  left_out = withheld(known, config)
  if left_out is not None:
    events = [_without(known.vocabulary, part, left_out) for part in events]
  return known, events


def _moved_back(
  known: catalogue_lib.Catalogue, events: Sequence[schema.Events], days: int
) -> tuple[catalogue_lib.Catalogue, Sequence[schema.Events]]:
  """Returns the log as if it ended where its test begins, split days earlier.

  Raises:
    ValueError: if the log is split by each user's last engagement.
  """
  vocabulary = known.vocabulary
  if not vocabulary.test_from:
    raise ValueError(
      f"config.data.days_back is {days}, and each user's last engagement is "
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


def _held_out(
  known: catalogue_lib.Catalogue, number: int
) -> catalogue_lib.Catalogue:
  """Returns the catalogue of a log that holds out more of each user.

  Raises:
    ValueError: if the log is split by time.
  """
  if known.vocabulary.test_from:
    raise ValueError(
      f"config.data.held_out is {number}, and this log is split by time, not "
      "by each user's last engagements; use 1"
    )
  held = dataclasses.replace(known.vocabulary, held_out=number)
  return dataclasses.replace(known, vocabulary=held)


def withheld(
  known: catalogue_lib.Catalogue, config: config_lib.Data
) -> Bool[np.ndarray, "v"] | None:
  """Returns which items `data.withheld` leaves out; None of no share.

  They are the same in every run, and more of them if the share is larger.
  """
  if not config.withheld:
    return None
  items = len(known.items.ids)
  drawn = np.random.default_rng(0).random(items) < config.withheld
  drawn[schema.NO_ITEM] = False
  return drawn


def _without(
  vocabulary: schema.Vocabulary,
  events: schema.Events,
  left_out: Bool[np.ndarray, "v"],
) -> schema.Events:
  """Returns a user's events without those with some items before the test.

  Who then has too few engagements for one to be held out is only trained on,
  and has none with those items.
  """
  tested = np.arange(len(events)) >= before(vocabulary, events, "test")
  known = ~left_out[events.item]
  kept = events.where(tested | known)
  if before(vocabulary, kept, "test") > np.count_nonzero(known & ~tested):
    return events.where(known & ~tested)
  return kept
