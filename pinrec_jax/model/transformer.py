"""The transformer block: causal, with pre-normalization."""

import flax.linen as nn
import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinrec_jax.model import (
  attention,
  blockwise_attention,
  dropout,
  tpu_attention,
)


class Block(nn.Module):
  """Attention, and an MLP four times as wide; each has its own norm.

  Attributes:
    heads: number of attention heads.
    dropout: dropout rate.
    dtype: type of activations.
    last: whether to compute the state of the last position alone.
  """

  heads: int
  dropout: float
  dtype: DTypeLike
  last: bool = False

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b l w"],
    view: attention.View,
    past: attention.KVCache | None,
    train: bool,
  ) -> tuple[Float[Array, "b _ w"], attention.KVCache | None]:
    drop = dropout.Dropout(self.dropout, train)
    normed = nn.LayerNorm(dtype=self.dtype, name="attention_norm")(x)
    read, past = self._attend(normed, view, past)
    x = x[:, -1:] if self.last else x
    # Flattened to a matrix, the kernels' gradients are plain products.
    shape, x = x.shape, x.reshape(-1, x.shape[-1])
    x = x + drop(read)
    y = nn.LayerNorm(dtype=self.dtype, name="mlp_norm")(x)
    y = nn.Dense(4 * x.shape[-1], dtype=self.dtype, name="mlp_in")(y)
    # On a TPU, the backward pass computes it again. It would store three more
    # arrays that are four times as wide as the block. On a CPU, that is slower.
    on_tpu = jax.default_backend() == "tpu"
    y = (jax.checkpoint(nn.gelu) if on_tpu else nn.gelu)(y)
    y = nn.Dense(x.shape[-1], dtype=self.dtype, name="mlp_out")(y)
    return (x + drop(y)).reshape(shape), past

  def _attend(
    self,
    x: Float[Array, "b l w"],
    view: attention.View,
    past: attention.KVCache | None,
  ) -> tuple[Float[Array, "_ w"], attention.KVCache | None]:
    hidden_dim = x.shape[-1]
    shape = (self.heads, hidden_dim // self.heads)

    def _project(
      name: str, x: Float[Array, "b _ w"]
    ) -> Float[Array, "b _ h k"]:
      dense = nn.DenseGeneral(shape, dtype=self.dtype, name=name)
      return dense(x.reshape(-1, hidden_dim)).reshape(*x.shape[:2], *shape)

    key, value, past = attention.extend(
      _project("key", x), _project("value", x), past, view
    )
    if self.last:
      x, view = x[:, -1:], view.last()
    query = _project("query", x)
    kernel = tpu_attention.fits(query, view)
    attend = tpu_attention.attend if kernel else blockwise_attention.attend
    read = attend(query, key, value, view)
    out = nn.DenseGeneral(
      hidden_dim, axis=(-2, -1), dtype=self.dtype, name="out"
    )
    return out(read.reshape(-1, *shape)), past
