"""Causal attention with an explicit cache."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from pinrec_jax.types import AnyArray


@struct.dataclass
class KVCache:
  """One layer's past; slots at or after the cache's length hold zeros."""

  key: Float[Array, "b s h k"]
  value: Float[Array, "b s h k"]


@struct.dataclass
class Cache:
  """The past of every layer, and whose it is."""

  layers: tuple[KVCache, ...]
  segment: Int[Array, "b s"]  # 0 where nothing is to be attended
  length: Int[Array, ""]  # slots written so far


def empty_cache(
  batch: int, slots: int, layers: int, heads: int, width: int, dtype: DTypeLike
) -> Cache:
  """Returns a cache that holds nothing, for `slots` positions."""
  zeros = jnp.zeros((batch, slots, heads, width // heads), dtype)
  return Cache(
    layers=(KVCache(zeros, zeros),) * layers,
    segment=jnp.zeros((batch, slots), jnp.int32),
    length=jnp.zeros((), jnp.int32),
  )


def causal_mask(
  segment: Int[AnyArray, "b l"],
  past_segment: Int[AnyArray, "b s"],
  start: Int[Array, ""] | int,
) -> Bool[Array, "b 1 l s"]:
  """Returns which slots each position may read: its own segment, up to itself.

  Args:
    segment: of the positions asking.
    past_segment: of the slots.
    start: the slot of the first position asking.
  """
  place = start + jnp.arange(segment.shape[1])
  before = place[:, None] >= jnp.arange(past_segment.shape[1])
  same = segment[:, :, None] == past_segment[:, None, :]
  return (before & same & (past_segment > 0)[:, None, :])[:, None]


class Attention(nn.Module):
  """Multi-head attention over a row, or over a cache that the row extends."""

  heads: int
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b l w"],
    mask: Bool[Array, "b 1 l s"],
    past: KVCache | None = None,
    start: Int[Array, ""] | int = 0,
  ) -> tuple[Float[Array, "b l w"], KVCache | None]:
    width = x.shape[-1]
    shape = (self.heads, width // self.heads)
    query, key, value = (
      nn.DenseGeneral(shape, dtype=self.dtype, name=name)(x)
      for name in ("query", "key", "value")
    )
    if past is not None:
      at = (0, start, 0, 0)
      past = KVCache(
        jax.lax.dynamic_update_slice(past.key, key, at),
        jax.lax.dynamic_update_slice(past.value, value, at),
      )
      key, value = past.key, past.value
    read = jax.nn.dot_product_attention(query, key, value, mask=mask)
    out = nn.DenseGeneral(width, axis=(-2, -1), dtype=self.dtype, name="out")
    return out(read), past
