"""Semantic ids: items as a few codes, coarse to fine (arXiv 2305.05065)."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.cluster.vq
import scipy.sparse
import scipy.sparse.linalg
from jaxtyping import Bool, Float, Int

from pinrec_jax.data import schema

LEVELS, CODES = 3, 256  # Of the residual k-means, as in the paper.
WIDTH = 64  # Of the content vectors.
ROUNDS = 20  # Of k-means.


class SemanticIds(NamedTuple):
  """The codes of all items, and which codes may follow which.

  Attributes:
    codes: of each item; -1 for row 0, which stands for a missing item.
    sizes: number of codes at each level.
    children: at each level, the node that a code of a node leads to; -1 is
      none. A node is a tuple of first codes, and there is one root. The nodes
      of the last level are rows of the item table.
  """

  codes: Int[np.ndarray, "v j"]
  sizes: tuple[int, ...]
  children: tuple[Int[np.ndarray, "_ _"], ...]


def of_items(
  items: schema.Items, features: Sequence[schema.Feature], seed: int
) -> SemanticIds:
  """Returns ids from the content of items, by residual k-means.

  Items with equal codes get one more code, which numbers them.

  Args:
    items: the item table.
    features: the categorical features.
    seed: of the k-means.
  """
  vectors = content(items, features)
  return of_codes(residual_codes(vectors, min(CODES, len(vectors)), seed))


def content(
  items: schema.Items, features: Sequence[schema.Feature]
) -> Float[np.ndarray, "n w"]:
  """Returns a vector for each item but the first row, which is no item.

  It is a truncated singular value decomposition of the item's feature values. A
  value counts less the more items have it.
  """
  slots = [n for n, f in enumerate(features) for _ in range(f.slots)]
  starts = np.cumsum([0, *(feature.size for feature in features)])
  value = items.categorical[1:]
  row, slot = np.nonzero(value)
  column = starts[np.array(slots, int)[slot]] + value[row, slot]
  table = scipy.sparse.csr_matrix(
    (np.ones(len(row), np.float32), (row, column)), (len(value), starts[-1])
  )
  often = np.maximum(np.bincount(column, minlength=starts[-1]), 1)
  table = scipy.sparse.hstack(
    [table @ scipy.sparse.diags(np.log(len(value) / often)), items.dense[1:]],
    format="csr",
  )
  smaller = min(len(value), starts[-1] + items.dense.shape[1])
  left, weight, _ = scipy.sparse.linalg.svds(
    table, min(WIDTH, smaller - 1), v0=np.ones(smaller)
  )
  vectors = left * weight
  return vectors / np.maximum(np.linalg.norm(vectors, axis=1), 1e-9)[:, None]


def residual_codes(
  vectors: Float[np.ndarray, "n w"], size: int, seed: int
) -> Int[np.ndarray, "n j"]:
  """Returns the nearest centroid of each level's residual.

  What a level's centroid leaves over is clustered at the next level.
  """
  codes, rest = [], np.array(vectors, np.float64)
  for level in range(LEVELS):
    centroids, code = scipy.cluster.vq.kmeans2(
      rest, size, ROUNDS, minit="++", rng=np.random.default_rng(seed + level)
    )
    codes.append(code)
    rest -= centroids[code]
  return np.stack(codes, 1)


def of_codes(codes: Int[np.ndarray, "n j"]) -> SemanticIds:
  """Returns unique ids from the codes of items 1 to n."""
  _, group = np.unique(codes, axis=0, return_inverse=True)
  order = np.argsort(group, kind="stable")
  starts = np.searchsorted(group[order], group[order])
  number = np.zeros(len(codes), int)
  number[order] = np.arange(len(codes)) - starts
  codes = np.column_stack([codes, number])
  sizes = tuple(int(size) for size in codes.max(0) + 1)
  children, node, nodes = [], np.zeros(len(codes), int), 1
  for level, size in enumerate(sizes):
    step = node * size + codes[:, level]
    known, following = np.unique(step, return_inverse=True)
    if level == len(sizes) - 1:
      known, following = step, np.arange(1, len(codes) + 1)
      below = following
    else:
      below = np.arange(len(known))
    table = np.full(nodes * size, -1, np.int32)
    table[known] = below
    children.append(table.reshape(nodes, size))
    node, nodes = following, len(known)
  return SemanticIds(
    np.concatenate([np.full((1, codes.shape[1]), -1), codes]),
    sizes,
    tuple(children),
  )


def among(
  ids: SemanticIds, chosen: Bool[np.ndarray, "v"]
) -> tuple[Int[np.ndarray, "_ _"], ...]:
  """Returns the children that lead to one of the chosen items."""
  *inner, last = ids.children
  kept = [np.where((last >= 0) & chosen[last], last, -1)]
  for table in reversed(inner):
    alive = np.asarray(kept[0].max(-1)) >= 0
    kept.insert(0, np.where((table >= 0) & alive[table], table, -1))
  return tuple(kept)


def starts(sizes: Sequence[int]) -> tuple[int, ...]:
  """Returns the first token of each level; token 0 starts a history."""
  return tuple(itertools.accumulate(sizes, initial=1))
