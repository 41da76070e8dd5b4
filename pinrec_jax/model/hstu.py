"""The HSTU block: gated pointwise attention with place and time biases."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinrec_jax.data import schema
from pinrec_jax.model import attention, dropout

TIME_BUCKETS = 64
BUCKET_WIDTH = 0.301  # In log seconds.


class Block(nn.Module):
  """Attention with SiLU in place of the softmax, gated by the position itself.

  arXiv 2402.17152, pointwise aggregated attention. Unlike the public code, the
  time bias compares the times of the two positions. The public code uses the
  time of the predicted item, which a request does not have.

  Attributes:
    heads: number of attention heads.
    dropout: dropout rate.
    dtype: type of activations.
    positions: maximum number of positions of a history.
    last: whether to compute the state of the last position alone.
  """

  heads: int
  dropout: float
  dtype: DTypeLike
  positions: int
  last: bool = False

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b l w"],
    view: attention.View,
    past: attention.KVCache | None,
    train: bool,
  ) -> tuple[Float[Array, "b _ w"], attention.KVCache | None]:
    hidden_dim = x.shape[-1]
    shape = (self.heads, hidden_dim // self.heads)
    normed = nn.LayerNorm(dtype=self.dtype, name="attention_norm")(x)

    def _project(
      name: str, x: Float[Array, "b _ w"]
    ) -> Float[Array, "b _ h k"]:
      return nn.silu(nn.DenseGeneral(shape, dtype=self.dtype, name=name)(x))

    key, value, past = attention.extend(
      _project("key", normed), _project("value", normed), past, view
    )
    if self.last:
      x, normed, view = x[:, -1:], normed[:, -1:], view.last()
    gate, query = _project("gate", normed), _project("query", normed)
    logits = jnp.einsum("blhk,bshk->bhls", query, key) + self._bias(view)
    weight = jnp.where(view.mask, nn.silu(logits) / self.positions, 0)
    read = jnp.einsum("bhls,bshk->blhk", weight.astype(self.dtype), value)
    read = nn.LayerNorm(dtype=self.dtype, name="read_norm")(
      read.reshape(x.shape)
    )
    drop = dropout.Dropout(self.dropout, train)
    y = drop(read * gate.reshape(x.shape))
    return x + nn.Dense(hidden_dim, dtype=self.dtype, name="out")(y), past

  def _bias(self, view: attention.View) -> Float[Array, "b 1 l s"]:
    """Returns the bias of each logit, by distance in place and in time."""
    small = nn.initializers.normal(0.02)
    by_place = self.param("place_bias", small, (self.positions,))
    by_time = self.param("time_bias", small, (TIME_BUCKETS + 1,))
    slots = view.mask.shape[-1]
    here = view.start + jnp.arange(view.mask.shape[-2])
    apart = jnp.clip(here[:, None] - jnp.arange(slots), 0, self.positions - 1)
    known = (view.time[:, :, None] != schema.UNKNOWN_TIME) & (
      view.past_time[:, None, :] != schema.UNKNOWN_TIME
    )
    # For a later slot the difference wraps around. The mask hides such a slot.
    seconds = view.time[:, :, None] - view.past_time[:, None, :]
    bucket = jnp.log1p(seconds.astype(jnp.float32)) / BUCKET_WIDTH
    bucket = jnp.clip(bucket.astype(jnp.int32), 0, TIME_BUCKETS - 1)
    # The last bias is for unknown times.
    bucket = jnp.where(known, bucket, TIME_BUCKETS)
    return (by_place[apart] + by_time[bucket])[:, None]
