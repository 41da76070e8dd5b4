"""The transformer's block: causal, pre-norm."""

import flax.linen as nn
import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinrec_jax.model import attention


class Block(nn.Module):
  """Attention, then an MLP four times as wide, each behind its own norm."""

  heads: int
  dropout: float
  dtype: DTypeLike

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b l w"],
    view: attention.View,
    past: attention.KVCache | None,
    train: bool,
  ) -> tuple[Float[Array, "b l w"], attention.KVCache | None]:
    drop = nn.Dropout(self.dropout, deterministic=not train)
    normed = nn.LayerNorm(dtype=self.dtype, name="attention_norm")(x)
    read, past = self._attend(normed, view, past)
    x = x + drop(read)
    y = nn.LayerNorm(dtype=self.dtype, name="mlp_norm")(x)
    y = nn.Dense(4 * x.shape[-1], dtype=self.dtype, name="mlp_in")(y)
    y = nn.Dense(x.shape[-1], dtype=self.dtype, name="mlp_out")(nn.gelu(y))
    return x + drop(y), past

  def _attend(
    self,
    x: Float[Array, "b l w"],
    view: attention.View,
    past: attention.KVCache | None,
  ) -> tuple[Float[Array, "b l w"], attention.KVCache | None]:
    width = x.shape[-1]
    shape = (self.heads, width // self.heads)
    query, key, value = (
      nn.DenseGeneral(shape, dtype=self.dtype, name=name)(x)
      for name in ("query", "key", "value")
    )
    key, value, past = attention.extended(key, value, past, view)
    read = jax.nn.dot_product_attention(query, key, value, mask=view.mask)
    out = nn.DenseGeneral(width, axis=(-2, -1), dtype=self.dtype, name="out")
    return out(read), past
