"""Users who are evaluated in a split, with their histories and targets."""

import dataclasses

import numpy as np
from jaxtyping import Int

from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import kept, schema, splits

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
  least = EXPOSURES if dataset.vocabulary.test_from else 1
  numbers = kept.once(
    dataset, "users", lambda: _numbers(dataset, split, least), split, least
  )
  if not numbers and required:
    raise ValueError(
      f"no user of {dataset.name} has a target in the {split} period and at "
      f"least {least} events before it; move the split, predict more "
      "(data.target_surface, data.target_outcomes), or add users with three or "
      "more engagements"
    )
  if limit and limit < len(numbers):
    places = np.linspace(0, len(numbers), limit, endpoint=False).astype(int)
    numbers = [numbers[place] for place in places]
  return [_case(dataset, number, split) for number in numbers]


def _numbers(dataset: dataset_lib.Dataset, split: str, least: int) -> list[int]:
  """Returns the numbers of the users with targets and enough earlier events."""
  found = []
  for number, events in enumerate(dataset.events):
    start, targets = _targets(dataset, events, split)
    if targets.size and start >= least:
      found.append(number)
  return found


def _case(dataset: dataset_lib.Dataset, number: int, split: str) -> Case:
  events = dataset.events[number]
  start, targets = _targets(dataset, events, split)
  earlier = events.where(slice(start))
  return Case(dataset.users[number], earlier, events.where(targets))


def _targets(
  dataset: dataset_lib.Dataset, events: schema.Events, split: str
) -> tuple[int, Int[np.ndarray, "_"]]:
  """Returns where a split starts, and the places of a user's targets in it."""
  start, end = splits.before(dataset.vocabulary, events, split), len(events)
  if split == "validation":
    end = splits.before(dataset.vocabulary, events, "test")
  return start, start + np.flatnonzero(dataset.aim.met(events)[start:end])


def after_training(*, train_on_validation: bool) -> str:
  """Returns the first split that is not trained on."""
  return "test" if train_on_validation else "validation"
