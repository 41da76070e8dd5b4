"""Retrieval metrics over whole catalogs; none of them samples."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from pinrec_jax.data import evaluation_cases
from pinrec_jax.types import UserSums

NOWHERE = 10**9  # The place of an item that is not in the list.
AT_ONCE = 8192  # Targets that are searched for together, to bound memory.


class Targets(NamedTuple):
  """The engagements of all users in the period, user after user.

  Attributes:
    user: number of the user.
    item: row of the item table.
    actions: whether the engagement has each action.
  """

  user: Int[np.ndarray, "t"]
  item: Int[np.ndarray, "t"]
  actions: Bool[np.ndarray, "t a"]

  def distinct(self, outcome: int | None) -> "Targets":
    """Returns the targets with an outcome, no item of a user twice.

    Args:
      outcome: index of the outcome; None takes all targets.
    """
    some = self
    if outcome is not None:
      some = some.where(self.actions[:, outcome])
    pair = some.user * (1 + int(some.item.max(initial=0))) + some.item
    return some.where(np.unique(pair, return_index=True)[1])

  def where(self, chosen: Shaped[np.ndarray, "_"] | slice) -> "Targets":
    """Returns the targets that a mask, numbers or a slice select."""
    return Targets(*(column[chosen] for column in self))


def targets(cases: Sequence[evaluation_cases.Case]) -> Targets:
  """Returns the targets of all users."""
  every = [case.targets for case in cases]
  return Targets(
    np.repeat(np.arange(len(cases)), [len(events) for events in every]),
    np.concatenate([events.item for events in every]),
    np.concatenate([events.actions for events in every]) > 0,
  )


def found(
  lists: Int[np.ndarray, "b c"], targets: Targets, k: int
) -> Bool[np.ndarray, "t"]:
  """Returns which targets are among the first k of their user's list."""
  return _place(lists[:, :k], targets) < k


def _place(
  lists: Int[np.ndarray, "b c"], targets: Targets
) -> Int[np.ndarray, "t"]:
  """Returns the place of every target in its user's list, or NOWHERE."""
  place = np.full(len(targets.item), NOWHERE)
  for start in range(0, len(place), AT_ONCE):
    some = targets.where(np.s_[start : start + AT_ONCE])
    there = lists[some.user] == some.item[:, None]
    place[start : start + AT_ONCE] = np.where(
      there.any(-1), there.argmax(-1), NOWHERE
    )
  return place


def recall(
  hits: Bool[np.ndarray, "t"], subset: Bool[np.ndarray, "t"] | None = None
) -> float:
  """Returns the fraction of all users' targets that were found.

  Args:
    hits: which targets were found.
    subset: targets to count; by default all. If there is none, recall is NaN.
  """
  counted = hits if subset is None else hits[subset]
  return float(counted.mean()) if counted.size else float("nan")


def recall_sums(
  hits: Bool[np.ndarray, "t"],
  targets: Targets,
  subset: Bool[np.ndarray, "t"],
  users: int,
) -> UserSums:
  """Returns each user's hits and targets among a subset of the targets."""
  return UserSums(
    np.bincount(targets.user[hits & subset], minlength=users),
    np.bincount(targets.user[subset], minlength=users),
  )


def ndcg(
  lists: Int[np.ndarray, "b c"],
  targets: Targets,
  k: int,
  outcome: int | None = None,
) -> Float[np.ndarray, "b"]:
  """Returns the NDCG@k of each user. Every target has a gain of 1.

  It is NaN for a user without a target (of the outcome).
  """
  discount = 1 / np.log2(np.arange(2, k + 2))
  wanted = targets.distinct(outcome)
  place = _place(lists[:, :k], wanted)
  gain = np.where(place < k, discount[np.minimum(place, k - 1)], 0)
  gain = np.bincount(wanted.user, gain, len(lists))
  number = np.bincount(wanted.user, minlength=len(lists))
  most = np.cumsum(discount)[np.minimum(number, k) - 1]
  return np.where(number > 0, gain / most, np.nan)


def unordered(
  neighbours: Int[np.ndarray, "b q k"], targets: Targets
) -> Bool[np.ndarray, "t"]:
  """Returns which targets are among the k nearest items of any vector.

  Compare models at an equal number of vectors only (arXiv 2504.10507, unordered
  recall). Vectors with different neighbours find more, since together they name
  more items. `first_distinct` gives lists of equal length instead.
  """
  return found(neighbours.reshape(len(neighbours), -1), targets, k=NOWHERE)


def first_distinct(
  neighbours: Int[np.ndarray, "b q k"], size: int
) -> Int[np.ndarray, "b c"]:
  """Returns one list per user: the first distinct items of all vectors.

  The nearest items of all vectors come first, then all second-nearest items,
  and so on. An item keeps its first place only. So one vector and many vectors
  can be compared at an equal number of items per user.

  Args:
    neighbours: items of every vector, nearest first; -1 where there is none.
    size: length of a list. A list can only be shorter, with -1 in the empty
      places, if all neighbours of the user hold fewer distinct items. That is
      impossible if `size` is at most the neighbours of one vector.
  """
  lists = np.full((len(neighbours), size), -1, neighbours.dtype)
  for row, own in zip(lists, neighbours, strict=True):
    in_turn = own.T.ravel()
    items, place = np.unique(in_turn[in_turn >= 0], return_index=True)
    kept = items[np.argsort(place)][:size]
    row[: len(kept)] = kept
  return lists


def acted_on(
  lists: Int[np.ndarray, "b c"], targets: Targets, action: int
) -> Int[np.ndarray, "b"]:
  """Returns how many of each user's candidates got the action from the user."""
  wanted = targets.distinct(action)
  place = _place(lists, wanted)
  return np.bincount(wanted.user[place < NOWHERE], minlength=len(lists))


def diversity(lists: Int[np.ndarray, "b c"]) -> float:
  """Returns the fraction of distinct items among all users' candidates."""
  items = lists[lists >= 0]
  return np.unique(items).size / items.size if items.size else float("nan")


def retrieved_diversity(
  neighbours: Int[np.ndarray, "b q k"],
) -> Float[np.ndarray, "b"]:
  """Returns the fraction of distinct items among all neighbours of each user.

  It is 1 if no two vectors of a user share a neighbour, and 1 / q if all
  vectors have the same neighbours. It is NaN for a user without a neighbour.

  Unlike the paper, which counts distinct items across users, an item counts
  once per user. Across users, the figure depends mostly on how many users there
  are per item of the catalog.

  Args:
    neighbours: items of every vector; -1 where there is none.
  """
  ordered = np.sort(neighbours.reshape(len(neighbours), -1), -1)
  filled = ordered >= 0
  first = np.diff(ordered, axis=-1, prepend=-1) > 0
  number = filled.sum(-1)
  distinct = (first & filled).sum(-1)
  return np.where(number > 0, distinct / np.maximum(number, 1), np.nan)


def coverage(lists: Int[np.ndarray, "b c"], candidates: int) -> float:
  """Returns the fraction of all candidates that are in some user's list."""
  return np.unique(lists[lists >= 0]).size / candidates


def recency(
  query: Float[np.ndarray, "b q d"],
  places: Int[np.ndarray, "b l"],
  vectors: Float[np.ndarray, "c d"],
) -> Float[np.ndarray, "b"]:
  """Returns how late in the history the event nearest to a vector is.

  It is 0 for the oldest event and 1 for the latest; the mean over a user's
  vectors is returned. If an item occurs twice, the later event counts.

  Args:
    query: generated vectors, unit norm.
    places: places of the history's items in `vectors`, oldest first; -1 is
      none.
    vectors: of the candidates, unit norm.

  Returns:
    One number per user; NaN for a user with fewer than two events.
  """
  known = places >= 0
  several = known.sum(-1) > 1
  query, places, known = query[several], places[several], known[several]
  cosine = np.einsum("bqd,bld->bql", query, vectors[places])
  cosine = np.where(known[:, None], cosine, -np.inf)
  last = places.shape[-1] - 1
  nearest = last - np.argmax(cosine[..., ::-1], -1)
  earlier = np.cumsum(known, -1) - 1  # Events before each event.
  place = np.take_along_axis(earlier, nearest, -1).mean(-1)
  late = np.full(len(several), np.nan)
  late[several] = place / earlier[:, last]
  return late


def overlap(
  row: Int[np.ndarray, "b k"], truth: Int[np.ndarray, "b k"]
) -> Float[np.ndarray, "b"]:
  """Returns the fraction of each exact neighbourhood that an index found."""
  return np.array(
    [np.isin(t, r).mean() for r, t in zip(row, truth, strict=True)]
  )
