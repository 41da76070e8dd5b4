"""A block without attention: the mean of the history (two-tower models)."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinrec_jax.model import attention, dropout


class Block(nn.Module):
  """The mean of all positions so far, and an MLP on top of it.

  Attributes:
    heads: number of parts into which the cache splits a state.
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
    value = x.reshape(*x.shape[:2], self.heads, -1)
    _, value, past = attention.extend(value, value, past, view)
    if self.last:
      x, view = x[:, -1:], view.last()
    mask = view.mask[:, 0]
    weight = mask / jnp.maximum(jnp.sum(mask, -1), 1)[..., None]
    mean = jnp.einsum("bls,bshk->blhk", weight.astype(self.dtype), value)
    y = nn.LayerNorm(dtype=self.dtype, name="norm")(mean.reshape(x.shape))
    y = nn.Dense(4 * x.shape[-1], dtype=self.dtype, name="mlp_in")(y)
    y = nn.Dense(x.shape[-1], dtype=self.dtype, name="mlp_out")(nn.gelu(y))
    return mean.reshape(x.shape) + drop(y), past
