"""Who is evaluated at a cut, and what was usual before it."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float32, Int

from pinrec_jax.data import cuts, schema
from pinrec_jax.data import dataset as dataset_lib

EXPOSURES = 5  # earlier events a user needs, where the split is by time


@dataclasses.dataclass(frozen=True)
class Case:
  """One user at a cut: what was known, and what the user then did."""

  user: str
  past: schema.Events  # everything before the cut, shown-only events too
  targets: schema.Events  # engagements in the period


def cases(
  dataset: dataset_lib.Dataset, split: str, *, limit: int = 0
) -> list[Case]:
  """Returns the users evaluated in "validation" or "test".

  They have a target in the period and, where the split is by time, five
  earlier exposures.

  Args:
    dataset: the log.
    split: the period.
    limit: take this many, chosen evenly; 0 takes all.

  Raises:
    ValueError: if there is none.
  """
  found, least = [], EXPOSURES if dataset.vocabulary.test_from else 1
  for user, events in zip(dataset.users, dataset.events, strict=True):
    start, end = cuts.before(dataset.vocabulary, events, split), len(events)
    if split == "validation":
      end = cuts.before(dataset.vocabulary, events, "test")
    target = start + np.flatnonzero(dataset.aim.met(events)[start:end])
    if target.size and start >= least:
      earlier = events.where(slice(start))
      found.append(Case(user, earlier, events.where(target)))
  if not found:
    raise ValueError(
      f"nobody in {dataset.name} has a target in the {split} period and as "
      f"many as {least} events before it; move the split, aim at more "
      "(data.surface, data.outcomes), or give users with three engagements"
    )
  if limit and limit < len(found):
    places = np.linspace(0, len(found), limit, endpoint=False).astype(int)
    found = [found[place] for place in places]
  return found


def recent(
  dataset: dataset_lib.Dataset, events: schema.Events, split: str
) -> schema.Events:
  """Returns the targets before a split that say what is usual.

  In a log split by time these are the dated ones alone.
  """
  earlier = cuts.past(dataset.vocabulary, events, split)
  usual = dataset.aim.met(earlier)
  if dataset.vocabulary.test_from:
    usual = usual & (earlier.time != schema.UNKNOWN_TIME)
  return earlier.where(usual)


def outcome_share(dataset: dataset_lib.Dataset) -> Float32[np.ndarray, "o"]:
  """Returns each outcome's share of the recent training targets' actions."""
  outcomes = dataset.vocabulary.outcomes
  counts = np.zeros(outcomes)
  for events in dataset.events:
    usual = recent(dataset, events, "validation")
    counts += usual.actions[:, :outcomes].sum(0)
  counts *= dataset.aim.aimed(outcomes)
  return (counts / max(counts.sum(), 1)).astype(np.float32)


def cold(dataset: dataset_lib.Dataset, split: str) -> Bool[np.ndarray, "v"]:
  """Returns which items no user engaged with before a split."""
  return _engagements(dataset, split) == 0


def known_by(
  dataset: dataset_lib.Dataset, split: str
) -> dict[str, Bool[np.ndarray, "v"]]:
  """Returns the items by how often they were engaged with before a split.

  "head": the fewest that have half of all engagements; "tail": the others that
  have any; "new": those that have none; "withheld", if `data.withheld` says
  so: those it holds back.
  """
  counts = _engagements(dataset, split)
  ranked = np.argsort(-counts, kind="stable")
  before = np.cumsum(counts[ranked]) - counts[ranked]
  head = np.zeros(len(counts), bool)
  head[ranked] = 2 * before < counts.sum()
  engaged = counts > 0
  found = {"head": head & engaged, "tail": ~head & engaged, "new": ~engaged}
  if dataset.withheld is not None:
    found["withheld"] = dataset.withheld
  return found


def _engagements(
  dataset: dataset_lib.Dataset, split: str
) -> Int[np.ndarray, "v"]:
  """Returns how often each item was engaged with before a split."""
  counts = np.zeros(len(dataset.items.ids), int)
  for events in dataset.events:
    earlier = cuts.past(dataset.vocabulary, events, split)
    np.add.at(counts, earlier.item[earlier.engaged], 1)
  return counts


def after_training(*, refit: bool) -> str:
  """Returns the first split that is not trained on."""
  return "test" if refit else "validation"
