"""How a program searches: one query at a time, then a batch of queries.

  python -m peers.SCRIPT --vectors=vectors.npy --queries=queries.npy \
    --found=found.npz

The program builds an index of unit-norm vectors. It writes the build time and
the rows found for all queries.
"""

import argparse
import itertools
import pathlib
import sys
import time
from collections.abc import Callable

import numpy as np
from peers import turns

K = 100  # Neighbours of a query.
SINGLES = 32  # Queries in a turn of single queries.
RECALL = 0.99  # Fraction of the neighbours that a search should find.
NOISE = 0.3  # Norm of a query's distance to an item.

Search = Callable[[np.ndarray], np.ndarray]  # Returns the rows of queries.
# A search, and what sets its effort; None if it has its own settings.
Built = tuple[Search, Callable[[int], None] | None]


def tune(
  search: Search, set_effort: Callable[[int], None], vectors: np.ndarray
) -> None:
  """Sets the least effort that finds RECALL of the neighbours.

  Effort is doubled from K / 25. Recall is measured with 64 other queries, which
  lie as far from items as the benchmark's queries.
  """
  random = np.random.default_rng(1)
  query = vectors[random.choice(len(vectors), 64, replace=False)]
  noise = random.standard_normal(query.shape, np.float32)
  query = query + noise * np.float32(NOISE / query.shape[1] ** 0.5)
  query /= np.linalg.norm(query, axis=-1, keepdims=True)
  truth = [set(np.argpartition(-(vectors @ q), K)[:K]) for q in query]
  effort, most = K // 25, len(vectors)
  while effort < most:
    set_effort(effort)
    hits = [
      len(own.intersection(found))
      for own, found in zip(truth, search(query).tolist(), strict=True)
    ]
    if sum(hits) >= RECALL * K * len(query):
      break
    effort *= 2
  print(f"effort {effort}", file=sys.stderr)


def take(build: Callable[[np.ndarray], Built]) -> None:
  """Takes turns of single queries and of the batch, alternately."""
  parser = argparse.ArgumentParser()
  for name in ("vectors", "queries", "found"):
    parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
  options, _ = parser.parse_known_args()
  vectors, queries = np.load(options.vectors), np.load(options.queries)
  began = time.perf_counter()
  search, set_effort = build(vectors)
  seconds = time.perf_counter() - began
  if set_effort:
    tune(search, set_effort, vectors)
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
    turns.report(turn())
