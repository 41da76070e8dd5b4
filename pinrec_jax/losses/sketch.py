"""Counts of a stream in bounded memory: the count-min sketch."""

import flax.struct
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, UInt32

from pinrec_jax.types import AnyArray


@flax.struct.dataclass
class CountMin:
  """How often each item was seen, never too low.

  An estimate exceeds the truth by more than e / columns of all counts with
  probability at most exp(-rows) (Cormode and Muthukrishnan, 2005). The oldest
  counts fade, so a stream that changes is followed.
  """

  counts: Float[Array, "x v"]

  def add(
    self, items: Int[AnyArray, "b"], keep: float | Array = 1.0
  ) -> "CountMin":
    """Returns the sketch with a batch counted; item 0 is none.

    Args:
      items: of the batch, with repetitions.
      keep: by which all earlier counts are multiplied first.
    """
    rows = jnp.arange(self.counts.shape[0])[:, None]
    real = (jnp.asarray(items) > 0).astype(self.counts.dtype)
    counts = self.counts * keep
    return CountMin(counts.at[rows, self._columns(items)].add(real))

  def share(self, items: Int[AnyArray, "*n"]) -> Float[Array, "*n"]:
    """Returns each item's estimated share of all that was counted."""
    rows = jnp.arange(self.counts.shape[0])
    rows = rows.reshape(-1, *[1] * jnp.ndim(items))
    found = jnp.min(self.counts[rows, self._columns(items)], axis=0)
    return found / jnp.maximum(jnp.sum(self.counts[0]), 1)

  def _columns(self, items: Int[AnyArray, "*n"]) -> UInt32[Array, "x *n"]:
    """Returns an item's column in every row, by multiply-shift hashing."""
    size, columns = self.counts.shape
    odd = np.random.default_rng(0).integers(0, 2**31, size) * 2 + 1
    factor = jnp.asarray(odd, jnp.uint32).reshape(-1, *[1] * jnp.ndim(items))
    mixed = (jnp.asarray(items, jnp.uint32) + 1) * jnp.uint32(0x9E3779B9)
    mixed = (mixed ^ (mixed >> 15)) * factor
    return mixed >> jnp.uint32(32 - (columns.bit_length() - 1))


def empty(rows: int, columns: int) -> CountMin:
  """Returns a sketch that has counted nothing; columns are a power of two."""
  return CountMin(jnp.zeros((rows, columns), jnp.float32))
