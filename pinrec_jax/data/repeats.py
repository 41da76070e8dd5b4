"""How often users engage again with the same items."""

from typing import NamedTuple

import numpy as np

from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import histories, kept, splits

# From this fraction of repeats on, the filter costs more targets than the
# places that it frees in a list can bring (docs/custom_log.md).
FEW = 0.05


class Repeats(NamedTuple):
  """Repeats among the engagements before the test period.

  A user's first engagement cannot be a repeat, so it is not counted. An
  engagement is a repeat if its user engaged with its item before, with any
  outcome.

  Attributes:
    engagements: number of engagements; "" has all, NAME those of an outcome.
    repeats: how many of them are repeats.
  """

  engagements: dict[str, int]
  repeats: dict[str, int]

  def fraction(self, outcome: str = "") -> float:
    """Returns the fraction of repeats; 0 without engagements."""
    return self.repeats[outcome] / max(self.engagements[outcome], 1)

  @property
  def filter_seen(self) -> str:
    """The value of `index.filter_seen` that suits the log."""
    return "engagements" if self.fraction() < FEW else "nothing"

  @property
  def figures(self) -> dict[str, int | float]:
    """Flat figures, such as repeats/click, a fraction."""
    return {
      f"repeats/{name or 'all'}": self.fraction(name)
      for name in self.engagements
    }


def of_dataset(dataset: dataset_lib.Dataset) -> Repeats:
  """Counts the repeats among the engagements that may be predicted."""
  return Repeats(*kept.once(dataset, "repeats", lambda: _count(dataset)))


def _count(dataset: dataset_lib.Dataset) -> list[dict[str, int]]:
  """Returns the engagements and the repeats by outcome."""
  names = dataset.vocabulary
  counts = np.zeros((2, 1 + names.outcomes), int)
  for some, events, user in histories.parts(dataset.events):
    place = np.arange(len(user)) - np.searchsorted(user, user)
    end = np.array([splits.before(names, own, "test") for own in some])
    acted = np.flatnonzero(events.engaged & (place < end[user]))
    who = user[acted]
    pair = who * len(dataset.items.ids) + events.item[acted]
    again = np.ones(len(acted), bool)
    again[np.unique(pair, return_index=True)[1]] = False
    follows = np.append(False, who[1:] == who[:-1])[: len(acted)]
    follows &= dataset.aim.met(events)[acted]
    outcomes = events.actions[acted, : names.outcomes] > 0
    every = np.concatenate([np.ones((len(acted), 1), bool), outcomes], 1)
    counts[0] += every[follows].sum(0)
    counts[1] += every[follows & again].sum(0)
  return [
    dict(zip(("", *names.outcome_names), row.tolist(), strict=True))
    for row in counts
  ]
