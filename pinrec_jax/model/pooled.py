"""The two-tower's user side: a mean over the past."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinrec_jax.model import attention, dropout


class Block(nn.Module):
  """The mean of everything before, then an MLP; no position is singled out."""

  heads: int
  dropout: float
  dtype: DTypeLike
  last: bool = False  # only the last position goes on

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
    _, value, past = attention.extended(value, value, past, view)
    if self.last:
      x, view = x[:, -1:], view.last()
    share = (
      view.mask[:, 0] / jnp.maximum(jnp.sum(view.mask[:, 0], -1), 1)[..., None]
    )
    mean = jnp.einsum("bls,bshk->blhk", share.astype(self.dtype), value)
    y = nn.LayerNorm(dtype=self.dtype, name="norm")(mean.reshape(x.shape))
    y = nn.Dense(4 * x.shape[-1], dtype=self.dtype, name="mlp_in")(y)
    y = nn.Dense(x.shape[-1], dtype=self.dtype, name="mlp_out")(nn.gelu(y))
    return mean.reshape(x.shape) + drop(y), past
