"""Search among allowed items: an index, items beside it, and filters."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from pinrec_jax.index import build, sharded
from pinrec_jax.types import AnyArray

EXACT_BELOW = 0.2  # Allowed fraction below which filtered search is exact.
SLACK = 64  # Extra neighbours that may be masked before a second search.


class Found(NamedTuple):
  """Neighbours of some queries, nearest first.

  Attributes:
    place: places among the items that can be recommended; -1 is none.
    score: cosines.
    exact: whether every allowed item was compared.
  """

  place: Int[np.ndarray, "q k"]
  score: Float[np.ndarray, "q k"]
  exact: bool


def search(
  index: build.Index,
  base: int,
  vectors: Callable[[Int[np.ndarray, "n"]], Float[np.ndarray, "n d"]],
  allowed: Bool[np.ndarray, "p"],
  query: Float[AnyArray, "q d"],
  k: int,
  *,
  filtered: bool,
) -> Found:
  """Returns the nearest allowed items of each query.

  The first `base` places are in an index. The others are searched exactly. With
  a filter that allows few items, the search is exact. Otherwise it fetches more
  neighbours from the index until enough of them are allowed. A sharded index
  reads every filter itself.

  Args:
    index: of the first places.
    base: number of these places.
    vectors: returns the vectors of places.
    allowed: which places may be returned.
    query: unit-norm vectors.
    k: neighbours of each query.
    filtered: whether a request restricts the items.
  """
  total = int(allowed.sum())
  few = filtered and total < EXACT_BELOW * len(allowed)
  masked = index if filtered and isinstance(index, sharded.Sharded) else None
  if not base or (few and masked is None):
    return _exact(vectors, query, k, np.flatnonzero(allowed))
  if masked is not None:
    place, score = masked.search(query, k, allowed[:base])
  else:
    place, score = _from_index(index, base, allowed[:base], query, k)
  added = base + np.flatnonzero(allowed[base:])
  if added.size:
    more = _exact(vectors, query, k, added, above=score[:, -1])
    place = np.concatenate([place, more.place], 1)
    score = np.concatenate([score, more.score], 1)
    order = np.argsort(-score, axis=1, kind="stable")[:, :k]
    place, score = (np.take_along_axis(x, order, 1) for x in (place, score))
  return Found(place, score, index.exact)


def _from_index(
  index: build.Index,
  base: int,
  allowed: Bool[np.ndarray, "p"],
  query: Float[AnyArray, "q d"],
  k: int,
) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
  """Searches an index until every query has enough allowed items."""
  there = int(allowed.sum())
  wanted = min(k, there)
  fetch = k
  if there < base:
    fetch = int(k * base / max(there, 1)) + SLACK
  while True:
    fetch = min(fetch, base)
    place, score = index.search(query, fetch)
    if there == base:
      break
    good = (place >= 0) & allowed[place]
    if good.sum(1).min(initial=wanted) >= wanted or fetch == base:
      order = np.argsort(~good, axis=1, kind="stable")[:, :k]
      good = np.take_along_axis(good, order, 1)
      place = np.where(good, np.take_along_axis(place, order, 1), -1)
      score = np.take_along_axis(score, order, 1)
      score = np.where(good, score, -np.inf).astype(np.float32)
      break
    fetch *= 2
  missing = [(0, 0), (0, k - place.shape[1])]
  place = np.pad(place, missing, constant_values=-1)
  return place, np.pad(score, missing, constant_values=-np.inf)


def _exact(
  vectors: Callable[[Int[np.ndarray, "n"]], Float[np.ndarray, "n d"]],
  query: Float[AnyArray, "q d"],
  k: int,
  places: Int[np.ndarray, "n"],
  above: Float[np.ndarray, "q"] | None = None,
) -> Found:
  """Compares each query with all of some places.

  Args:
    vectors: returns the vectors of places.
    query: unit-norm vectors.
    k: neighbours of each query.
    places: the places.
    above: score of each query that a neighbour must exceed.

  Returns:
    The neighbours; lists are only as wide as needed if `above` is given.
  """
  score = np.asarray(query) @ vectors(places).T
  size = min(k, len(places))
  if above is not None:
    good = (score > above[:, None]).sum(1)
    k = size = min(size, int(good.max(initial=0)))
  place = np.full((len(query), k), -1, np.int32)
  found = np.full((len(query), k), -np.inf, np.float32)
  if size:
    best = np.argpartition(-score, size - 1, axis=1)[:, :size]
    best_score = np.take_along_axis(score, best, 1)
    order = np.argsort(-best_score, axis=1, kind="stable")
    place[:, :size] = places[np.take_along_axis(best, order, 1)]
    found[:, :size] = np.take_along_axis(best_score, order, 1)
  return Found(place, found, exact=True)
