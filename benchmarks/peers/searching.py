"""How a program searches by turns: one query at a time, then a batch of them.

  python SCRIPT --vectors=vectors.npy --queries=queries.npy --found=found.npz

It builds an index of the vectors, which are of unit norm, and writes what the
build took and the rows found for all queries.
"""

import argparse
import itertools
import pathlib
import sys
import time
from collections.abc import Callable

import numpy as np
import turns

K, SINGLES = 100, 32  # neighbours of a query, and queries of a turn of singles
WANTED = 0.99  # share of the neighbours that a search is to find
NEAR = 0.3  # norm of what is added to an item to make a query

Search = Callable[[np.ndarray], np.ndarray]  # queries in, rows out
# What searches, and what sets its effort; None: it has its own settings.
Built = tuple[Search, Callable[[int], None] | None]


def tuned(
  search: Search, set_effort: Callable[[int], None], vectors: np.ndarray
) -> Search:
  """Returns the search, looking through as little as finds `WANTED`.

  Effort grows from K / 25 by doubling; it is judged by neighbours of 64 queries
  of its own, which lie as far from items as those that are measured.
  """
  random = np.random.default_rng(1)
  query = vectors[random.choice(len(vectors), 64, replace=False)]
  noise = random.standard_normal(query.shape, np.float32)
  query = query + noise * np.float32(NEAR / query.shape[1] ** 0.5)
  query /= np.linalg.norm(query, axis=-1, keepdims=True)
  truth = [set(np.argpartition(-(vectors @ q), K)[:K]) for q in query]
  effort, most = K // 25, len(vectors)
  while effort < most:
    set_effort(effort)
    hits = [
      len(own.intersection(found))
      for own, found in zip(truth, search(query).tolist(), strict=True)
    ]
    if sum(hits) >= WANTED * K * len(query):
      break
    effort *= 2
  print(f"effort {effort}", file=sys.stderr)
  return search


def take(build: Callable[[np.ndarray], Built]) -> None:
  """Takes turns, of singles and of the batch alternately."""
  parser = argparse.ArgumentParser()
  for name in ("vectors", "queries", "found"):
    parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
  options, _ = parser.parse_known_args()
  vectors, queries = np.load(options.vectors), np.load(options.queries)
  began = time.perf_counter()
  search, set_effort = build(vectors)
  seconds = time.perf_counter() - began
  if set_effort:
    tuned(search, set_effort, vectors)
  del vectors

  def singles() -> float:
    began = time.perf_counter()
    for n in range(SINGLES):
      search(queries[n : n + 1])
    return (time.perf_counter() - began) / SINGLES

  def batch() -> float:
    began = time.perf_counter()
    search(queries)
    return time.perf_counter() - began

  np.savez(options.found, rows=search(queries), build=seconds)
  singles()
  for turn in itertools.cycle((singles, batch)):
    if not turns.wait():
      break
    turns.tell(turn())
