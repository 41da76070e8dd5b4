"""From generated vectors to the lists of a batch."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from pinrec_jax.index import filtered_search, merge_lists
from pinrec_jax.inference import filters, generation
from pinrec_jax.inference import items as items_lib
from pinrec_jax.inference import requests as requests_lib
from pinrec_jax.inference import sizes as sizes_lib
from pinrec_jax.types import AnyArray

# Gets the name of a stage and its seconds.
Observe: TypeAlias = Callable[[str, float], None]


class Candidates(NamedTuple):
  """The lists of a batch, best first.

  Attributes:
    item: rows of the item table; -1 where a list is shorter.
    score: cosine with the vector that found the item.
    outcome: outcome of that vector; -1 is unspecified.
    offset: its offset in seconds; -1 is the next event.
    step: its generation step.
    exact: whether every allowed item was compared.
  """

  item: Int[np.ndarray, "b c"]
  score: Float[np.ndarray, "b c"]
  outcome: Int[np.ndarray, "b c"]
  offset: Int[np.ndarray, "b c"]
  step: Int[np.ndarray, "b c"]
  exact: Bool[np.ndarray, "b"]


class Neighbours(NamedTuple):
  """The nearest items of every vector of a batch.

  Attributes:
    place: places of the items; -1 where there is none.
    score: cosines.
    exact: whether every allowed item of a request was compared.
  """

  place: Int[np.ndarray, "b q k"]
  score: Float[np.ndarray, "b q k"]
  exact: Bool[np.ndarray, "b"]


def unobserved(stage: str, seconds: float) -> None:
  """Ignores the time of a stage."""


def find(
  items: items_lib.Items,
  vectors: generation.Vectors,
  requests: Sequence[requests_lib.Request],
  rung: sizes_lib.Rung | None = None,
  observe: Observe = unobserved,
) -> Candidates:
  """Returns the list of every request.

  A list is shorter than asked for if too few items are left for the user.

  Args:
    items: all items.
    vectors: of the requests.
    requests: the batch.
    rung: the sizes to use; None fits them to the batch.
    observe: gets the seconds of the stages "search" and "merge".
  """
  began = time.perf_counter()
  hidden = [_hidden(items, request) for request in requests]
  if rung:
    size, k = rung.candidates, rung.neighbours
  else:
    longest = max(request.candidates for request in requests)
    size = min(longest, max(items.count, 1))
    k = sizes_lib.neighbours(size, max(map(len, hidden)))
  near = neighbours(items, vectors, k, requests)
  for place, own in zip(near.place, hidden, strict=True):
    place[np.isin(place, own)] = -1
  observe("search", time.perf_counter() - began)
  began = time.perf_counter()
  nobody = np.full((len(requests), 1), -1, np.int32)
  merged = merge_lists.merge(
    near.place, near.score, vectors.share, nobody, size=size
  )
  place, query, score = (np.asarray(column) for column in merged)
  observe("merge", time.perf_counter() - began)
  outcome, offset, step = (
    np.take_along_axis(column, query, 1)
    for column in (vectors.outcome, vectors.offset, vectors.step)
  )
  return Candidates(
    rows_of(items, place), score, outcome, offset, step, near.exact
  )


def neighbours(
  items: items_lib.Items,
  vectors: generation.Vectors,
  k: int,
  requests: Sequence[requests_lib.Request] = (),
) -> Neighbours:
  """Returns the nearest items of every vector that has a share.

  Requests without a filter are searched together.

  Args:
    items: all items.
    vectors: of a batch.
    k: neighbours of each vector.
    requests: the batch, for its filters; by default there are none.
  """
  kept = vectors.share > 0
  place = np.full((*kept.shape, k), -1, np.int32)
  score = np.full((*kept.shape, k), -np.inf, np.float32)
  exact = np.zeros(len(kept), bool)
  groups: dict[int, list[int]] = {}
  for row in range(len(kept)):
    own = requests[row].filters if requests else None
    groups.setdefault(row if own and own.restricts else -1, []).append(row)
  for group, rows in groups.items():
    wanted = np.zeros_like(kept)
    wanted[rows] = kept[rows]
    if wanted.any():
      own = requests[group].filters if group >= 0 else None
      allowed = filters.mask(own, items) if own else None
      found = _search(items, vectors.query, wanted, k, allowed)
      place[wanted], score[wanted] = found.place, found.score
      exact[rows] = found.exact
  return Neighbours(place, score, exact)


def _search(
  items: items_lib.Items,
  query: Float[AnyArray, "b q d"],
  wanted: Bool[np.ndarray, "b q"],
  k: int,
  allowed: items_lib.Mask | None,
) -> filtered_search.Found:
  """Returns the nearest items of the wanted vectors."""
  if isinstance(query, np.ndarray) or allowed is not None:
    return items.search(np.asarray(query)[wanted], k, allowed)
  # All vectors of the device, since their number is that of a compiled batch.
  found = items.search(query.reshape(-1, query.shape[-1]), k)
  own = np.flatnonzero(wanted)
  return found._replace(place=found.place[own], score=found.score[own])


def rows_of(
  items: items_lib.Items, place: Int[np.ndarray, "*b"]
) -> Int[np.ndarray, "*b"]:
  """Returns the item rows of places; -1 stays."""
  if not len(items.place_rows):
    return place
  return np.where(place < 0, -1, items.place_rows[place])


def history_places(
  items: items_lib.Items,
  requests: Sequence[requests_lib.Request],
  length: int,
) -> Int[np.ndarray, "b l"]:
  """Returns the places of history items; -1 is none.

  Args:
    items: all items.
    requests: a batch.
    length: positions of a history; the start token takes one.
  """
  places = np.full((len(requests), length), -1, np.int32)
  for row, request in enumerate(requests):
    own = items.place_of[request.events.item]
    places[row, length - len(own) :] = own
  return places


def _hidden(
  items: items_lib.Items, request: requests_lib.Request
) -> Int[np.ndarray, "s"]:
  """Returns the places to leave out of a list."""
  rows = request.seen
  if request.filters is not None:
    rows = np.append(rows, request.filters.exclude)
  places = np.unique(items.place_of[rows])
  return places[places >= 0]
