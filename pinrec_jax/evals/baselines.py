"""Baselines that every result is compared with."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int, Shaped

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, splits
from pinrec_jax.evals import evaluate, popularity

NAMES = ("popularity", "recent popularity", "last items", "co-occurrence")
HISTORY = 10  # Last items of a user whose neighbours are listed.
USER_ITEMS = 100  # Last items of each user that count as engaged with together.
NEIGHBOURS = 100  # Items that each item of a history brings.
ITEMS_AT_ONCE = 4096  # Items whose neighbours are searched together.
SCORES_AT_ONCE = 1 << 24  # Scores of users and items, to bound memory.
DIGITS = 9  # Of a score, so that equal scores are equal in any order of sums.

Lists = popularity.Lists


def last_items(
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
  *,
  size: int,
) -> Lists:
  """Returns the items that each user engaged with, the last one first.

  These are repeats only, so no filter applies.
  """
  user, item = _of_cases(cases)
  chosen = dataset.items.candidate[item]
  user, item, rank = _latest(user[chosen], item[chosen], size)
  lists = np.full((len(cases), size), -1, np.int32)
  lists[user, rank] = item
  return lists


def co_occurrence(
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
  *,
  split: str,
  size: int,
  filter_seen: str,
) -> Lists:
  """Returns items that the same users engaged with as the user's last items.

  Two items are as near as the cosine of their sets of users before the cut. The
  score of an item is the sum of its cosines to the user's last ten items, if it
  is among the hundred nearest of them. The arguments are those of
  `popularity.of_all`.
  """
  items = len(dataset.items.ids)
  user, item, _ = _latest(*_of_cases(cases), HISTORY)
  history = _matrix(user, item, len(cases), items)
  nearest = _neighbours(_together(dataset, split), np.unique(item))
  lists = np.full((len(cases), size), -1, np.int32)
  most = max(SCORES_AT_ONCE // items, 1)
  for first in range(0, len(cases), most):
    some = cases[first : first + most]
    scores = (history[first : first + most] @ nearest).toarray().round(DIGITS)
    scores[:, ~dataset.items.candidate] = 0
    for row, case in enumerate(some):
      scores[row, case.past.seen(filter_seen)] = 0
    ranked = np.argsort(-scores, -1, kind="stable")[:, :size]
    found = np.take_along_axis(scores, ranked, -1) > 0
    lists[first : first + most, : ranked.shape[1]] = np.where(found, ranked, -1)
  return lists


def figures(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
  groups: evaluate.Groups,
) -> dict[str, evaluate.Figures]:
  """Returns the figures of every baseline on the test users, by name.

  Except for popularity, a baseline without any item is left out, such as recent
  popularity in a log without times.
  """
  cutoffs = config.evals.cutoffs
  size, seen = max(cutoffs), config.index.filter_seen
  found = {
    name: ranked(dataset, cases, split="test", size=size, filter_seen=seen)
    for name, ranked in (
      ("popularity", popularity.of_all),
      ("recent popularity", popularity.of_recent),
      ("co-occurrence", co_occurrence),
    )
  }
  found["last items"] = last_items(dataset, cases, size=size)
  outcomes = dataset.vocabulary.outcome_names
  return {
    name: evaluate.of_lists(
      found[name], cases, outcomes, cutoffs, groups
    ).figures
    for name in NAMES
    if name == "popularity" or (found[name] >= 0).any()
  }


def _of_cases(
  cases: Sequence[evaluation_cases.Case],
) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "n"]]:
  """Returns the number of the user and the item of every engagement."""
  return _flat([case.past.item[case.past.engaged] for case in cases])


def _flat(
  parts: Sequence[Int[np.ndarray, "_"]],
) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "n"]]:
  """Returns the numbers of the users, and the items of all of them."""
  user = np.repeat(np.arange(len(parts)), [len(own) for own in parts])
  return user, np.concatenate(parts)


def _latest(
  user: Int[np.ndarray, "n"], item: Int[np.ndarray, "n"], most: int
) -> tuple[Int[np.ndarray, "k"], Int[np.ndarray, "k"], Int[np.ndarray, "k"]]:
  """Returns the last distinct items of each user, by user, latest first.

  Args:
    user: numbers of the users, increasing.
    item: their items, oldest first.
    most: number of items to return for each user.

  Returns:
    Users, items, and places from 0, which is the latest.
  """
  backwards = slice(None, None, -1)
  pair = user * (1 + int(item.max(initial=0))) + item
  last = len(pair) - 1 - np.unique(pair[backwards], return_index=True)[1]
  last = np.sort(last)[backwards]
  last = last[np.argsort(user[last], kind="stable")]
  user, item = user[last], item[last]
  rank = _rank(user)
  kept = rank < most
  return user[kept], item[kept], rank[kept]


def _matrix(
  user: Int[np.ndarray, "n"], item: Int[np.ndarray, "n"], users: int, items: int
) -> scipy.sparse.csr_array:
  """Returns which user engaged with which item, as ones."""
  ones = np.ones(len(user))
  return scipy.sparse.csr_array((ones, (user, item)), shape=(users, items))


def _together(
  dataset: dataset_lib.Dataset, split: str
) -> scipy.sparse.csr_array:
  """Returns which user engaged with which items before the cut."""
  parts = []
  for events in dataset.events:
    past = splits.past(dataset.vocabulary, events, split)
    parts.append(past.item[past.engaged])
  user, item, _ = _latest(*_flat(parts), USER_ITEMS)
  return _matrix(user, item, len(parts), len(dataset.items.ids))


def _neighbours(
  together: scipy.sparse.csr_array, wanted: Int[np.ndarray, "j"]
) -> scipy.sparse.csr_array:
  """Returns the cosines of some items to their nearest items; others are 0."""
  users, parts = together.sum(0), []
  columns = together.tocsc()
  for first in range(0, max(len(wanted), 1), ITEMS_AT_ONCE):
    some = wanted[first : first + ITEMS_AT_ONCE]
    counts = (columns[:, some].transpose() @ together).tocoo()
    row, item = some[counts.row], counts.col
    cosine = counts.data / np.sqrt(users[row] * users[item])
    kept = row != item
    parts.append(_nearest(row[kept], item[kept], cosine[kept].round(DIGITS)))
  row, item, cosine = (
    np.concatenate(column) for column in zip(*parts, strict=True)
  )
  shape = (len(users), len(users))
  return scipy.sparse.csr_array((cosine, (row, item)), shape=shape)


def _nearest(
  row: Int[np.ndarray, "n"],
  item: Int[np.ndarray, "n"],
  cosine: Float[np.ndarray, "n"],
) -> tuple[Shaped[np.ndarray, "k"], ...]:
  """Returns the entries with the largest cosines of each row."""
  order = np.lexsort((item, -cosine, row))
  row, item, cosine = row[order], item[order], cosine[order]
  kept = _rank(row) < NEIGHBOURS
  return row[kept], item[kept], cosine[kept]


def _rank(group: Int[np.ndarray, "n"]) -> Int[np.ndarray, "n"]:
  """Returns the place of each entry in its group, from 0; groups are sorted."""
  return np.arange(len(group)) - np.searchsorted(group, group)
