"""What a position may read, and the explicit cache of what was read before."""

import jax
import jax.numpy as jnp
from flax import struct
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, UInt32

from pinrec_jax.types import AnyArray


@struct.dataclass
class KVCache:
  """One layer's past; slots at or after the cache's length hold zeros."""

  key: Float[Array, "b s h k"]
  value: Float[Array, "b s h k"]


@struct.dataclass
class Cache:
  """The past of every layer, whose it is and when it was."""

  layers: tuple[KVCache, ...]
  segment: Int[Array, "b s"]  # 0 where nothing is to be attended
  time: UInt32[Array, "b s"]  # unix seconds, or UNKNOWN_TIME
  length: Int[Array, ""] | int  # slots written so far


@struct.dataclass
class View:
  """The slots before some positions, and which of them each may read."""

  start: Int[Array, ""] | int  # the slot of the first position
  mask: Bool[Array, "b 1 l s"]
  time: UInt32[AnyArray, "b l"]  # of the positions
  past_time: UInt32[AnyArray, "b s"]  # of the slots

  def last(self) -> "View":
    """Returns what the last of the positions sees."""
    length = self.mask.shape[-2]
    return View(
      self.start + length - 1,
      self.mask[:, :, -1:],
      self.time[:, -1:],
      self.past_time,
    )


def empty_cache(
  batch: int, slots: int, layers: int, heads: int, width: int, dtype: DTypeLike
) -> Cache:
  """Returns a cache that holds nothing, for `slots` positions."""
  zeros = jnp.zeros((batch, slots, heads, width // heads), dtype)
  return Cache(
    layers=(KVCache(zeros, zeros),) * layers,
    segment=jnp.zeros((batch, slots), jnp.int32),
    time=jnp.zeros((batch, slots), jnp.uint32),
    length=0,
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


def look_back(
  segment: Int[AnyArray, "b l"],
  time: UInt32[AnyArray, "b l"],
  cache: Cache | None,
) -> tuple[View, Cache | None]:
  """Returns what new positions see, and the cache with their slots filled.

  The layers of the cache are still as they were.
  """
  start, slots, times = 0, jnp.asarray(segment), jnp.asarray(time)
  if cache is not None:
    start = cache.length
    slots = jax.lax.dynamic_update_slice(cache.segment, segment, (0, start))
    times = jax.lax.dynamic_update_slice(cache.time, time, (0, start))
    length = start + segment.shape[1]
    cache = Cache(cache.layers, slots, times, length)
  mask = causal_mask(segment, slots, start)
  return View(start, mask, jnp.asarray(time), times), cache


def extended(
  key: Float[Array, "b l h k"],
  value: Float[Array, "b l h k"],
  past: KVCache | None,
  view: View,
) -> tuple[Float[Array, "b s h k"], Float[Array, "b s h k"], KVCache | None]:
  """Returns the keys and values of all slots, and the layer's new cache."""
  if past is None:
    return key, value, None
  at = (0, view.start, 0, 0)
  past = KVCache(
    jax.lax.dynamic_update_slice(past.key, key, at),
    jax.lax.dynamic_update_slice(past.value, value, at),
  )
  return past.key, past.value, past
