"""Exhaustive inner-product search; other indexes are compared with it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pinrec_jax.types import AnyArray


@functools.partial(jax.jit, static_argnames="k")
def _nearest(vectors: Float[Array, "v d"], query: Float[Array, "q d"], k: int):
  # By default, a TPU or a GPU would round the factors.
  return jax.lax.top_k(jnp.matmul(query, vectors.T, precision="highest"), k)


class Exact:
  """Scores every vector, for a chunk of queries at a time."""

  kind, exact = "exact", True

  def __init__(self, vectors: Float[np.ndarray, "v d"], chunk: int = 256):
    self._vectors = jnp.asarray(vectors)
    self._chunk = chunk

  def search(
    self, query: Float[AnyArray, "q d"], k: int
  ) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
    """Returns the rows of the k nearest vectors, as `build.Index.search`."""
    size, found = len(query), min(k, len(self._vectors))
    # A power of two, so that few sizes are compiled.
    chunk = min(self._chunk, 1 << max(size - 1, 0).bit_length())
    padded = np.pad(query, [(0, -size % chunk), (0, 0)])
    parts = [
      _nearest(self._vectors, padded[start : start + chunk], found)
      for start in range(0, len(padded), chunk)
    ]
    score, row = (np.concatenate(p)[:size] for p in zip(*parts, strict=True))
    missing = [(0, 0), (0, k - found)]
    return (
      np.pad(row, missing, constant_values=-1),
      np.pad(score, missing, constant_values=-np.inf),
    )
