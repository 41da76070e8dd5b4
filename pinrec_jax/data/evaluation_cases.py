"""Users who are evaluated in a split, with their histories and targets."""

import dataclasses

import numpy as np

from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import schema, splits

EXPOSURES = 5  # Earlier events that a user needs in a split by time.


@dataclasses.dataclass(frozen=True)
class Case:
  """One user who is evaluated.

  Attributes:
    user: the user's id.
    past: all events before the split.
    targets: engagements in the period of the split.
  """

  user: str
  past: schema.Events
  targets: schema.Events


def cases(
  dataset: dataset_lib.Dataset,
  split: str,
  *,
  limit: int = 0,
  required: bool = True,
) -> list[Case]:
  """Returns the users that are evaluated in "validation" or "test".

  They have a target in the period and, if the log is split by time, five
  earlier exposures.

  Args:
    dataset: the log.
    split: the period.
    limit: take this many, chosen evenly; 0 takes all.
    required: whether there must be a user.

  Raises:
    ValueError: if there is no user and one is required.
  """
  found, least = [], EXPOSURES if dataset.vocabulary.test_from else 1
  for user, events in zip(dataset.users, dataset.events, strict=True):
    start, end = splits.before(dataset.vocabulary, events, split), len(events)
    if split == "validation":
      end = splits.before(dataset.vocabulary, events, "test")
    target = start + np.flatnonzero(dataset.aim.met(events)[start:end])
    if target.size and start >= least:
      earlier = events.where(slice(start))
      found.append(Case(user, earlier, events.where(target)))
  if not found and required:
    raise ValueError(
      f"no user of {dataset.name} has a target in the {split} period and at "
      f"least {least} events before it; move the split, predict more "
      "(data.target_surface, data.target_outcomes), or add users with three or "
      "more engagements"
    )
  if limit and limit < len(found):
    places = np.linspace(0, len(found), limit, endpoint=False).astype(int)
    found = [found[place] for place in places]
  return found


def after_training(*, train_on_validation: bool) -> str:
  """Returns the first split that is not trained on."""
  return "test" if train_on_validation else "validation"
