"""Dropout that costs a quarter of the random words."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

ODDS = 256  # values of a byte


class Dropout(nn.Module):
  """Numbers set to zero at random, the others scaled up to the same mean.

  Each is told by a byte, four of them to a random word, so that a rate is in
  effect the nearest multiple of 1/256. Drawing a word for each is otherwise
  a tenth of a training step on a CPU.
  """

  rate: float  # below 1
  train: bool  # False: nothing is dropped

  @nn.compact
  def __call__(self, x: Float[Array, "*b w"]) -> Float[Array, "*b w"]:
    dropped = min(round(self.rate * ODDS), ODDS - 1)
    if not self.train or not dropped:
      return x
    words = jax.random.bits(
      self.make_rng("dropout"), (*x.shape[:-1], -(-x.shape[-1] // 4))
    )
    drawn = jax.lax.bitcast_convert_type(words, jnp.uint8)
    drawn = drawn.reshape(*x.shape[:-1], -1)[..., : x.shape[-1]]
    # Or else XLA draws a word for each byte that is read, forth and back.
    drawn = jax.lax.optimization_barrier(drawn)
    return jnp.where(drawn >= dropped, x * (ODDS / (ODDS - dropped)), 0)
