"""The backbone: a causal pre-norm transformer."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from pinrec_jax.model import attention
from pinrec_jax.types import AnyArray


class Block(nn.Module):
  """Attention, then an MLP four times as wide, each behind its own norm."""

  heads: int
  dropout: float
  dtype: DTypeLike

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b l w"],
    mask: Bool[Array, "b 1 l s"],
    past: attention.KVCache | None,
    start: Int[Array, ""] | int,
    train: bool,
  ) -> tuple[Float[Array, "b l w"], attention.KVCache | None]:
    drop = nn.Dropout(self.dropout, deterministic=not train)
    normed = nn.LayerNorm(dtype=self.dtype, name="attention_norm")(x)
    read, past = attention.Attention(
      self.heads, dtype=self.dtype, name="attention"
    )(normed, mask, past, start)
    x = x + drop(read)
    y = nn.LayerNorm(dtype=self.dtype, name="mlp_norm")(x)
    y = nn.Dense(4 * x.shape[-1], dtype=self.dtype, name="mlp_in")(y)
    y = nn.Dense(x.shape[-1], dtype=self.dtype, name="mlp_out")(nn.gelu(y))
    return x + drop(y), past


class Transformer(nn.Module):
  """A stack of blocks over packed rows, or over a cache."""

  layers: int
  heads: int
  dropout: float
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b l w"],
    segment: Int[AnyArray, "b l"],
    cache: attention.Cache | None = None,
    *,
    train: bool = False,
  ) -> tuple[Float[Array, "b l w"], attention.Cache | None]:
    """Returns the states and, where one was given, the extended cache."""
    start, seen = 0, jnp.asarray(segment)
    if cache is not None:
      start = cache.length
      seen = jax.lax.dynamic_update_slice(cache.segment, segment, (0, start))
    mask = attention.causal_mask(segment, seen, start)
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    pasts = []
    for n in range(self.layers):
      past = None if cache is None else cache.layers[n]
      x, past = Block(self.heads, self.dropout, self.dtype, name=f"block_{n}")(
        x, mask, past, start, train
      )
      pasts.append(past)
    x = nn.LayerNorm(dtype=self.dtype, name="norm")(x)
    if cache is not None:
      length = cache.length + segment.shape[1]
      cache = attention.Cache(tuple(pasts), seen, length)
    return x, cache
