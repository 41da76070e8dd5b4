"""Retrieval metrics over whole catalogues; none of them samples."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from pinrec_jax.data import splits


def found(
  lists: Int[np.ndarray, "b c"], cases: Sequence[splits.Case], k: int
) -> list[Bool[np.ndarray, "_"]]:
  """Returns, for each user, which targets are among the first k."""
  return [
    np.isin(case.targets.item, row[:k])
    for row, case in zip(lists, cases, strict=True)
  ]


def recall(
  hits: Sequence[Bool[np.ndarray, "_"]],
  cases: Sequence[splits.Case],
  outcome: int | None = None,
  items: Bool[np.ndarray, "v"] | None = None,
) -> float:
  """Returns the share of all users' targets that were found.

  Args:
    hits: which targets of each user were.
    cases: the users.
    outcome: count only the targets with this action.
    items: count only the targets among these.
  """
  hit = np.concatenate(hits)
  counted = np.ones(len(hit), bool)
  if outcome is not None:
    counted &= (
      np.concatenate([c.targets.actions[:, outcome] for c in cases]) > 0
    )
  if items is not None:
    counted &= items[np.concatenate([c.targets.item for c in cases])]
  return float(hit[counted].mean()) if counted.any() else float("nan")


def ndcg(
  lists: Int[np.ndarray, "b c"],
  cases: Sequence[splits.Case],
  k: int,
  outcome: int | None = None,
) -> float:
  """Returns the mean over users of NDCG@k, a target's gain being 1.

  Users without a target (of the outcome) are left out.
  """
  discount = 1 / np.log2(np.arange(2, k + 2))
  values = []
  for row, case in zip(lists, cases, strict=True):
    targets = case.targets.item
    if outcome is not None:
      targets = targets[case.targets.actions[:, outcome] > 0]
    wanted = np.unique(targets)
    if wanted.size:
      gain = np.isin(row[:k], wanted) @ discount[: row[:k].size]
      values.append(gain / discount[: wanted.size].sum())
  return float(np.mean(values)) if values else float("nan")


def unordered(
  neighbours: Int[np.ndarray, "b q k"], cases: Sequence[splits.Case]
) -> list[Bool[np.ndarray, "_"]]:
  """Returns which targets any vector has among its k nearest.

  To be compared at an equal number of vectors only (arXiv 2504.10507,
  unordered recall).
  """
  return found(neighbours.reshape(len(cases), -1), cases, k=10**9)


def action_rate(
  lists: Int[np.ndarray, "b c"], cases: Sequence[splits.Case], action: int
) -> float:
  """Returns the share of candidates the log shows the user act on so."""
  acted = [
    np.isin(row, case.targets.item[case.targets.actions[:, action] > 0]).sum()
    for row, case in zip(lists, cases, strict=True)
  ]
  return float(np.sum(acted) / lists.size)


def diversity(lists: Int[np.ndarray, "b c"]) -> float:
  """Returns the share of unique items among all retrieved, all users'."""
  return np.unique(lists).size / lists.size


def coverage(lists: Int[np.ndarray, "b c"], catalogue: int) -> float:
  """Returns the share of the catalogue that some user is shown."""
  return np.unique(lists).size / catalogue


def recency(
  query: Float[np.ndarray, "b q d"],
  places: Int[np.ndarray, "b l"],
  embedded: Float[np.ndarray, "c d"],
) -> Float[np.ndarray, "b"]:
  """Returns how late in a history the event nearest to a vector is.

  From 0, the oldest event, to 1, the latest; the mean over a user's vectors. Of
  an item that comes again the last time counts. It is NaN for users of fewer
  than two events.

  Args:
    query: generated vectors, unit norm.
    places: of the history's items in `embedded`, oldest first; -1 is none.
    embedded: vectors of items, unit norm.
  """
  known = places >= 0
  several = known.sum(-1) > 1
  query, places, known = query[several], places[several], known[several]
  cosine = np.einsum("bqd,bld->bql", query, embedded[places])
  cosine = np.where(known[:, None], cosine, -np.inf)
  last = places.shape[-1] - 1
  nearest = last - np.argmax(cosine[..., ::-1], -1)
  earlier = np.cumsum(known, -1) - 1  # events before each
  place = np.take_along_axis(earlier, nearest, -1).mean(-1)
  late = np.full(len(several), np.nan)
  late[several] = place / earlier[:, last]
  return late


def overlap(
  row: Int[np.ndarray, "b k"], truth: Int[np.ndarray, "b k"]
) -> Float[np.ndarray, "b"]:
  """Returns how much of each exact neighbourhood an index found."""
  return np.array(
    [np.isin(t, r).mean() for r, t in zip(row, truth, strict=True)]
  )
