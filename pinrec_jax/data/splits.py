"""The standard split by time, and who is evaluated."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float32

from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import schema

EXPOSURES = 5  # earlier events a user needs to be evaluated


@dataclasses.dataclass(frozen=True)
class Case:
  """One user at a cut: what was known, and what the user then did."""

  user: str
  past: schema.Events  # everything before the cut, shown-only events too
  targets: schema.Events  # engagements in the period


def period(vocabulary: schema.Vocabulary, split: str) -> tuple[int, int]:
  """Returns the first second of a split and the first one after it."""
  return {
    "validation": (vocabulary.validation_from, vocabulary.test_from),
    "test": (vocabulary.test_from, 2**32),
  }[split]


def cases(
  dataset: dataset_lib.Dataset, split: str, *, limit: int = 0
) -> list[Case]:
  """Returns the users evaluated in "validation" or "test".

  They have an engagement in the period and five earlier exposures.

  Args:
    dataset: the log.
    split: the period.
    limit: take this many, chosen evenly; 0 takes all.
  """
  start, end = period(dataset.vocabulary, split)
  found = []
  for user, events in zip(dataset.users, dataset.events, strict=True):
    past = events.time < start
    target = events.engaged & ~past & (events.time < end)
    if target.any() and past.sum() >= EXPOSURES:
      found.append(Case(user, events.where(past), events.where(target)))
  if limit and limit < len(found):
    places = np.linspace(0, len(found), limit, endpoint=False).astype(int)
    found = [found[place] for place in places]
  return found


def outcome_share(dataset: dataset_lib.Dataset) -> Float32[np.ndarray, "o"]:
  """Returns each outcome's share of the dated training engagements' actions."""
  outcomes = dataset.vocabulary.outcomes
  until = dataset.vocabulary.validation_from
  counts = np.zeros(outcomes)
  for events in dataset.events:
    dated = (events.time != schema.UNKNOWN_TIME) & (events.time < until)
    counts += events.actions[dated & events.engaged, :outcomes].sum(0)
  return (counts / counts.sum()).astype(np.float32)


def cold(dataset: dataset_lib.Dataset, until: int) -> Bool[np.ndarray, "v"]:
  """Returns which items no user engaged with before a time."""
  never = np.ones(len(dataset.items.ids), bool)
  for events in dataset.events:
    never[events.item[events.engaged & (events.time < until)]] = False
  return never


def training_ends(vocabulary: schema.Vocabulary, *, refit: bool) -> int:
  """Returns the first second that is not trained on."""
  return vocabulary.test_from if refit else vocabulary.validation_from
