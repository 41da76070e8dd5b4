"""This project's indexes beside faiss and usearch, by turns.

  bash launch/peers.sh
  python benchmarks/retrieval.py --output=results/retrieval.json

The work is the 100 nearest of 64 numbers each, one query at a time and 256 in a
batch. Vectors are made up: of unit norm, in clusters of a hundred or so that
overlap, and queries lie near items. This project's indexes have their own
settings; the others look through as little, doubled step by step, as finds .99
of the neighbours of other queries.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile
from typing import Any

import contest
import numpy as np
import record
import searching  # of peers

from pinrec_jax import markdown

DIM, QUERIES, CLUSTER = 64, 256, 100
SPREAD = 0.7  # norm of what is added to a centre

OWN = "ScaNN"  # as this project sets it
PROGRAMS = {
  OWN: ("pinrec_retrieval.py", "scann", ""),
  "exact": ("pinrec_retrieval.py", "exact", ""),
  "approx_max_k": ("pinrec_retrieval.py", "approx_max_k", ""),
  "faiss IVF": ("faiss_retrieval.py", "ivf", "ann"),
  "faiss HNSW": ("faiss_retrieval.py", "hnsw", "ann"),
  "usearch": ("usearch_retrieval.py", "hnsw", "ann"),
}
TURNS = ("one", "batch")  # as peers/searching.py alternates


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--sizes", default="10000,100000,1000000")
  parser.add_argument("--programs", default=",".join(PROGRAMS))
  parser.add_argument("--rounds", type=int, default=9)
  parser.add_argument("--venvs", type=pathlib.Path, default=contest.VENVS)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  names = options.programs.split(",")
  if OWN not in names:
    sys.exit(f"error: --programs lacks {OWN}, which others are compared with")
  found = {}
  for size in map(int, options.sizes.split(",")):
    found[size] = compared(size, names, options.rounds, options.venvs)
    table(size, found[size])
  record.write(options.output, sys.argv[1:], sizes=found)


def compared(
  size: int, names: list[str], rounds: int, venvs: pathlib.Path
) -> dict[str, dict[str, Any]]:
  """Returns each program's recall, build and search times at one size."""
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    vectors, queries = made_up(size)
    truth = nearest(vectors, queries)
    np.save(folder / "vectors.npy", vectors)
    np.save(folder / "queries.npy", queries)
    del vectors
    programs = {
      name: contest.Program(
        script,
        [
          f"--kind={kind}",
          f"--vectors={folder}/vectors.npy",
          f"--queries={folder}/queries.npy",
          f"--found={folder}/{name}.npz",
        ],
        venv,
      )
      for name, (script, kind, venv) in PROGRAMS.items()
      if name in names
    }
    seconds = contest.hold(programs, len(TURNS) * rounds, venvs)
    written = {name: dict(np.load(folder / f"{name}.npz")) for name in programs}
  taken = {
    turn: contest.compared(
      {name: all_[n :: len(TURNS)] for name, all_ in seconds.items()}, OWN
    )
    for n, turn in enumerate(TURNS)
  }
  return {
    name: {
      "recall": recall(told["rows"], truth),
      "build_seconds": float(told["build"]),
      **{turn: taken[turn][name] for turn in TURNS},
    }
    for name, told in written.items()
  }


def made_up(size: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns items and queries, both of unit norm."""
  random = np.random.default_rng(0)

  def drawn(rows: int, norm: float) -> np.ndarray:
    drawn = random.standard_normal((rows, DIM), np.float32)
    return drawn * np.float32(norm / DIM**0.5)

  def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

  centres = unit(drawn(max(1, size // CLUSTER), 1))
  of = random.integers(len(centres), size=size)
  vectors = unit(centres[of] + drawn(size, SPREAD))
  chosen = random.choice(size, QUERIES, replace=False)
  return vectors, unit(vectors[chosen] + drawn(QUERIES, searching.NEAR))


def nearest(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
  """Returns the rows of each query's neighbours, in no order."""
  found = []
  for query in queries:  # one by one, for memory
    score = vectors @ query
    found.append(np.argpartition(-score, searching.K)[: searching.K])
  return np.stack(found)


def recall(found: np.ndarray, truth: np.ndarray) -> float:
  """Returns the share of the neighbours that was found."""
  return statistics.mean(
    len(np.intersect1d(a, b)) / len(b)
    for a, b in zip(found, truth, strict=True)
  )


def table(size: int, found: dict[str, dict[str, Any]]) -> None:
  """Prints one size: a query's and a batch's time, and of how many of OWN's."""
  rows = []
  for name, row in found.items():
    cells = [name, f"{row['recall']:.4f}", f"{row['build_seconds']:.1f}"]
    for turn in TURNS:
      told = row[turn]
      cells.append(f"{1e3 * told['seconds']:.3g}")
      cells.append(
        f"{told['ratio']:.2f} ({told['least']:.2f} to {told['greatest']:.2f})"
      )
    rows.append(cells)
  head = [
    f"{size:,} items", f"recall@{searching.K}", "build, s", "1 query, ms",
    f"of {OWN}'s", f"{QUERIES} queries, ms", f"of {OWN}'s",
  ]  # fmt: skip
  print(f"\n{markdown.table(head, rows)}")


if __name__ == "__main__":
  main()
