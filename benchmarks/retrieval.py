"""The package's indexes, compared with faiss and usearch.

  bash launch/peers.sh
  python benchmarks/retrieval.py --output=results/retrieval.json

Each query asks for the 100 nearest of a number of vectors with 64 dimensions,
one query at a time and 256 in a batch. The vectors are random: unit norm, in
overlapping clusters of about a hundred. Queries lie near items. The package's
indexes keep their own settings. The search effort of the other indexes is
doubled until they find .99 of the neighbours of other queries.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile
from typing import Any

import numpy as np
import programs
import record
import timing
from peers import searching

from pinrec_jax import markdown

DIM, QUERIES, CLUSTER = 64, 256, 100
NOISE = 0.7  # Norm of an item's distance to its cluster's centre.

OWN = "ScaNN"  # With the package's settings.
PROGRAMS = {
  OWN: ("pinrec_retrieval", "scann", ""),
  "exact": ("pinrec_retrieval", "exact", ""),
  "approx_max_k": ("pinrec_retrieval", "approx_max_k", ""),
  "faiss IVF": ("faiss_retrieval", "ivf", "ann"),
  "faiss HNSW": ("faiss_retrieval", "hnsw", "ann"),
  "usearch": ("usearch_retrieval", "hnsw", "ann"),
}
WORK = ("one", "batch")  # In the order of peers/searching.py.


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--sizes", default="10000,100000,1000000")
  parser.add_argument("--programs", default=",".join(PROGRAMS))
  parser.add_argument("--rounds", type=int, default=9)
  parser.add_argument("--venvs", type=pathlib.Path, default=programs.VENVS)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  names = options.programs.split(",")
  if OWN not in names:
    sys.exit(f"error: --programs lacks {OWN}, the baseline of all; add it")
  found = {}
  for size in map(int, options.sizes.split(",")):
    found[size] = compared(size, names, options.rounds, options.venvs)
    print(f"\n{table(size, found[size])}")
  record.write(options.output, sys.argv[1:], sizes=found)


def compared(
  size: int, names: list[str], rounds: int, venvs: pathlib.Path
) -> dict[str, dict[str, Any]]:
  """Returns each program's recall, build time and search times at one size."""
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    vectors, queries = random_vectors(size)
    truth = nearest(vectors, queries)
    np.save(folder / "vectors.npy", vectors)
    np.save(folder / "queries.npy", queries)
    del vectors
    running = {
      name: programs.Program(
        module,
        [
          f"--kind={kind}",
          f"--vectors={folder}/vectors.npy",
          f"--queries={folder}/queries.npy",
          f"--found={folder}/{name}.npz",
        ],
        venv,
      )
      for name, (module, kind, venv) in PROGRAMS.items()
      if name in names
    }
    seconds = programs.run(running, len(WORK) * rounds, venvs)
    written = {name: dict(np.load(folder / f"{name}.npz")) for name in running}
  times = {
    work: timing.compared(
      {name: values[n :: len(WORK)] for name, values in seconds.items()}, OWN
    )
    for n, work in enumerate(WORK)
  }
  return {
    name: {
      "recall": recall(own["rows"], truth),
      "build_seconds": float(own["build"]),
      **{work: times[work][name] for work in WORK},
    }
    for name, own in written.items()
  }


def random_vectors(size: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns items and queries, both of unit norm."""
  random = np.random.default_rng(0)

  def normal(rows: int, norm: float) -> np.ndarray:
    drawn = random.standard_normal((rows, DIM), np.float32)
    return drawn * np.float32(norm / DIM**0.5)

  def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

  centres = unit(normal(max(1, size // CLUSTER), 1))
  cluster = random.integers(len(centres), size=size)
  vectors = unit(centres[cluster] + normal(size, NOISE))
  chosen = random.choice(size, QUERIES, replace=False)
  return vectors, unit(vectors[chosen] + normal(QUERIES, searching.NOISE))


def nearest(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
  """Returns the rows of each query's neighbours, in no order."""
  found = []
  for query in queries:  # One at a time, to bound memory.
    score = vectors @ query
    found.append(np.argpartition(-score, searching.K)[: searching.K])
  return np.stack(found)


def recall(found: np.ndarray, truth: np.ndarray) -> float:
  """Returns the fraction of the neighbours that was found."""
  return statistics.mean(
    len(np.intersect1d(a, b)) / len(b)
    for a, b in zip(found, truth, strict=True)
  )


def table(size: int, found: dict[str, dict[str, Any]]) -> str:
  """Returns the times at one size as a Markdown table."""
  rows = []
  for name, row in found.items():
    cells = [name, f"{row['recall']:.4f}", f"{row['build_seconds']:.1f}"]
    for own in (row[work] for work in WORK):
      cells.append(f"{1e3 * own['seconds']:.3g}")
      cells.append(f"{own['ratio']:.2f} ({own['min']:.2f} to {own['max']:.2f})")
    rows.append(cells)
  head = [
    f"{size:,} items",
    f"recall@{searching.K}",
    "build, s",
    "1 query, ms",
    f"vs. {OWN}",
    f"{QUERIES} queries, ms",
    f"vs. {OWN}",
  ]
  return markdown.table(head, rows)


if __name__ == "__main__":
  main()
