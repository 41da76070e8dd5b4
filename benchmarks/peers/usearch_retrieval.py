"""The graph of usearch."""

import numpy as np
from peers import searching
from usearch.index import Index

LINKS, EF_BUILD = 16, 100  # As in peers/faiss_retrieval.py.


def build(vectors: np.ndarray) -> searching.Built:
  """Returns the search of a graph."""
  size, dim = vectors.shape
  index = Index(
    ndim=dim, metric="ip", dtype="f32", connectivity=LINKS,
    expansion_add=EF_BUILD,
  )  # fmt: skip
  index.add(np.arange(size), vectors)

  def search(query: np.ndarray) -> np.ndarray:
    keys = index.search(query, searching.K).keys
    return keys.reshape(len(query), -1).astype(np.int64)

  return search, lambda effort: setattr(index, "expansion_search", effort)


if __name__ == "__main__":
  searching.take(build)
