"""Popularity of items, as baselines."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, schema, statistics
from pinrec_jax.evals import metrics

HOUR = 3600
# Seconds after which an engagement counts half, from which one is chosen.
HALF_LIVES = tuple(HOUR * n for n in (3, 6, 12, 24, 48, 96, 192, 384, 768))
USUAL = 24 * HOUR  # In a log without validation users.
USERS = 10_000  # Validation users that choose the half-life.
K = 10  # Their recall@K decides.
DIGITS = 12  # Of a sum of weights, so that equal sums are equal.

Lists = Int[np.ndarray, "b c"]  # Rows of the item table; -1 is none.


def of_all(
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
  *,
  split: str,
  size: int,
  filter_seen: str,
) -> Lists:
  """Returns the items with the most engagements before the cut.

  In a log that is split by time, only engagements with a time count. Of equal
  counts, the lower row comes first.

  Args:
    dataset: the log.
    cases: the users.
    split: the period whose start is the cut.
    size: length of a list.
    filter_seen: items to leave out, as in `config.Index.filter_seen`.

  Returns:
    Rows of the item table; -1 where a list is shorter.
  """
  ranked = statistics.most_popular(dataset, split)
  return without_seen(ranked, cases, size, filter_seen)


class _Dated(NamedTuple):
  """Engagements with a time before a cut."""

  item: Int[np.ndarray, "n"]
  time: Int[np.ndarray, "n"]


def of_recent(
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
  *,
  split: str,
  size: int,
  filter_seen: str,
) -> Lists:
  """Returns the most popular items if recent engagements count more.

  The weight of an engagement halves with every `half_life` of its age, which
  ends at the newest engagement.
  Engagements without a time do not count. Without times, all lists are empty.
  The arguments are those of `of_all`.
  """
  dated = _dated(dataset, split)
  if not dated.item.size:
    return np.full((len(cases), size), -1, np.int32)
  seconds = half_life(dataset, filter_seen)
  return without_seen(
    _ranked(dataset, dated, seconds), cases, size, filter_seen
  )


def half_life(dataset: dataset_lib.Dataset, filter_seen: str) -> int:
  """Returns the half-life, in seconds, that validation users choose.

  It is the shortest one whose recall is at most one standard error, over users,
  below the best. One day of validation cannot tell the others apart, and tastes
  move on until the test. Without validation users, it is `USUAL`.
  """
  cases = evaluation_cases.cases(
    dataset, "validation", limit=USERS, required=False
  )
  dated = _dated(dataset, "validation")
  if not cases or not dated.item.size:
    return USUAL
  targets, recalls, errors = metrics.targets(cases), [], []
  for seconds in HALF_LIVES:
    ranked = _ranked(dataset, dated, seconds)
    hits = metrics.found(
      without_seen(ranked, cases, K, filter_seen), targets, K
    )
    recalls.append(metrics.recall(hits))
    of_user = np.bincount(targets.user, hits - recalls[-1])
    errors.append(np.sqrt(np.sum(of_user**2)) / len(hits))
  best = int(np.argmax(recalls))
  least = recalls[best] - errors[best]
  return HALF_LIVES[int(np.argmax(np.array(recalls) >= least))]


def _dated(dataset: dataset_lib.Dataset, split: str) -> _Dated:
  parts = [statistics.recent(dataset, own, split) for own in dataset.events]
  item = np.concatenate([own.item for own in parts])
  time = np.concatenate([own.time for own in parts])
  known = time != schema.UNKNOWN_TIME
  return _Dated(item[known], time[known])


def _ranked(
  dataset: dataset_lib.Dataset, dated: _Dated, seconds: int
) -> Int[np.ndarray, "_"]:
  """Returns the candidates with an engagement, the most popular first."""
  weight = np.exp2((dated.time - dated.time.max()) / seconds)
  sums = np.bincount(dated.item, weight, len(dataset.items.ids)).round(DIGITS)
  counted = np.bincount(dated.item, minlength=len(sums)) > 0
  sums[~(counted & dataset.items.candidate)] = -1
  return np.argsort(-sums, kind="stable")[: (sums >= 0).sum()].astype(np.int32)


def without_seen(
  ranked: Int[np.ndarray, "_"],
  cases: Sequence[evaluation_cases.Case],
  size: int,
  filter_seen: str,
) -> Lists:
  """Returns the first items of a ranking that are left for each user."""
  seen = [case.past.seen(filter_seen) for case in cases]
  ranked = ranked[: size + max(map(len, seen), default=0)]
  lists = np.full((len(cases), size), -1, np.int32)
  for row, own in enumerate(seen):
    kept = ranked[~np.isin(ranked, own)][:size]
    lists[row, : len(kept)] = kept
  return lists
