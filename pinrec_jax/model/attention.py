"""The causal mask, and the explicit key-value cache of earlier positions."""

import jax
import jax.numpy as jnp
from flax import struct
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, UInt32

from pinrec_jax.types import AnyArray, Size


@struct.dataclass
class KVCache:
  """Keys and values of one layer; slots that are not written yet hold zeros."""

  key: Float[Array, "b s h k"]
  value: Float[Array, "b s h k"]


@struct.dataclass
class Cache:
  """The earlier positions of every layer.

  Attributes:
    layers: keys and values of each layer.
    segment: number of the user that a slot belongs to; 0 is empty.
    time: unix seconds of each slot, or UNKNOWN_TIME.
    length: number of slots that are written.
  """

  layers: tuple[KVCache, ...]
  segment: Int[Array, "b s"]
  time: UInt32[Array, "b s"]
  length: Int[Array, ""] | int


@struct.dataclass
class View:
  """What some positions may read.

  Attributes:
    start: slot of the first position.
    mask: which slots each position may read.
    time: unix seconds of the positions.
    past_time: unix seconds of the slots.
    segment: segment of each position, which is its own slot; None with a cache.
  """

  start: Int[Array, ""] | int
  mask: Bool[Array, "b 1 l s"]
  time: UInt32[AnyArray, "b l"]
  past_time: UInt32[AnyArray, "b s"]
  segment: Int[Array, "b l"] | None = None

  def last(self) -> "View":
    """Returns the view of the last position alone."""
    length = self.mask.shape[-2]
    return View(
      self.start + length - 1,
      self.mask[:, :, -1:],
      self.time[:, -1:],
      self.past_time,
    )


def empty_cache(
  batch: Size,
  slots: int,
  layers: int,
  heads: int,
  hidden_dim: int,
  dtype: DTypeLike,
) -> Cache:
  """Returns an empty cache for `slots` positions."""
  zeros = jnp.zeros((batch, slots, heads, hidden_dim // heads), dtype)
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
  """Returns which slots each position may read.

  A position reads the slots of its own segment, up to its own slot.

  Args:
    segment: segment of each position.
    past_segment: segment of each slot; 0 is empty.
    start: slot of the first position.
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
  """Returns the view of new positions, and the cache with their slots added.

  The keys and values are not added yet. Each layer adds its own.
  """
  start, slots, times = 0, jnp.asarray(segment), jnp.asarray(time)
  if cache is not None:
    start = cache.length
    slots = jax.lax.dynamic_update_slice(cache.segment, segment, (0, start))
    times = jax.lax.dynamic_update_slice(cache.time, time, (0, start))
    length = start + segment.shape[1]
    cache = Cache(cache.layers, slots, times, length)
  mask = causal_mask(segment, slots, start)
  own = slots if cache is None else None
  return View(start, mask, jnp.asarray(time), times, own), cache


def extend(
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
