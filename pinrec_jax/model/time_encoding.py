"""Encodings of an event's time and of the gap since the event before."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from pinrec_jax.data import schema
from pinrec_jax.types import AnyArray

HOUR, DAY = 3600, 86400
# Periods in seconds. They and the range of gap periods follow PinnerFormer
# (arXiv 2205.04507, time features).
PERIODS = (
  HOUR // 4, HOUR // 2, 3 * HOUR // 4, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR,
  16 * HOUR, DAY, 7 * DAY, 28 * DAY, 365 * DAY,
)  # fmt: skip
GAP_PERIODS = np.geomspace(1, 28 * DAY, 32)


class TimeEncoding(nn.Module):
  """Sines and cosines of the time and of the gap, with learned phases.

  For an unknown time or gap all of its numbers are zero, and so is its flag.
  """

  @nn.compact
  def __call__(
    self, time: UInt32[AnyArray, "b l"], gap: Int[AnyArray, "b l"]
  ) -> Float[Array, "b l f"]:
    # The remainder is taken of integers, since float32 has too few digits for
    # unix time.
    periods = np.array(PERIODS, np.uint32)
    cycle = (time[..., None] % periods).astype(jnp.float32) / periods
    elapsed = jnp.maximum(gap, 0).astype(jnp.float32)[..., None]
    absolute = self._waves("absolute", cycle)
    relative = self._waves("relative", elapsed / GAP_PERIODS)
    relative = jnp.concatenate([relative, jnp.log1p(elapsed) / 10], -1)
    has_time = (time != schema.UNKNOWN_TIME)[..., None].astype(jnp.float32)
    has_gap = (gap >= 0)[..., None].astype(jnp.float32)
    return jnp.concatenate(
      [absolute * has_time, relative * has_gap, has_time, has_gap], -1
    )

  def _waves(
    self, name: str, cycles: Float[AnyArray, "b l p"]
  ) -> Float[Array, "b l f"]:
    shape = (cycles.shape[-1],)
    phase = self.param(f"{name}_phase", nn.initializers.zeros, shape)
    angle = 2 * jnp.pi * (cycles % 1.0) + phase
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1)
