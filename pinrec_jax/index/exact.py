"""Exhaustive inner-product search, the truth other indexes answer to."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


@functools.partial(jax.jit, static_argnames="k")
def _nearest(vectors: Float[Array, "v d"], query: Float[Array, "q d"], k: int):
  return jax.lax.top_k(query @ vectors.T, k)


class Exact:
  """Scores every item, in batches of queries."""

  def __init__(self, vectors: Float[np.ndarray, "v d"], chunk: int = 256):
    self._vectors = jnp.asarray(vectors)
    self._chunk = chunk

  def search(
    self, query: Float[np.ndarray, "q d"], k: int
  ) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
    """Returns the rows of the k nearest items and their inner products."""
    size = len(query)
    # Of a power of two, so that few sizes are compiled and one is not 256.
    chunk = min(self._chunk, 1 << max(size - 1, 0).bit_length())
    padded = np.pad(query, [(0, -size % chunk), (0, 0)])
    parts = [
      _nearest(self._vectors, padded[start : start + chunk], k)
      for start in range(0, len(padded), chunk)
    ]
    score, row = (np.concatenate(p)[:size] for p in zip(*parts, strict=True))
    return row, score
