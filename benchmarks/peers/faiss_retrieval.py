"""The indexes of faiss, as --kind: ivf or hnsw."""

import argparse

import faiss
import numpy as np
from peers import searching

LINKS = 16  # Of a node.
EF_BUILD = 100  # Candidates while the graph is built.


def main() -> None:
  """Takes turns."""
  parser = argparse.ArgumentParser()
  parser.add_argument("--kind", choices=("ivf", "hnsw"), required=True)
  options, _ = parser.parse_known_args()
  searching.take({"ivf": ivf, "hnsw": hnsw}[options.kind])


def ivf(vectors: np.ndarray) -> searching.Built:
  """Returns the search of inverted lists of uncompressed vectors."""
  size, dim = vectors.shape
  index = faiss.IndexIVFFlat(
    faiss.IndexFlatIP(dim), dim, int(4 * size**0.5),  # Lists, as faiss advises.
    faiss.METRIC_INNER_PRODUCT,
  )  # fmt: skip
  index.train(vectors)  # faiss draws a sample.
  index.add(vectors)
  return (
    lambda query: index.search(query, searching.K)[1],
    lambda effort: setattr(index, "nprobe", effort),
  )


def hnsw(vectors: np.ndarray) -> searching.Built:
  """Returns the search of a graph."""
  index = faiss.IndexHNSWFlat(
    vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT
  )
  index.hnsw.efConstruction = EF_BUILD
  index.add(vectors)
  return (
    lambda query: index.search(query, searching.K)[1],
    lambda effort: setattr(index.hnsw, "efSearch", effort),
  )


if __name__ == "__main__":
  main()
