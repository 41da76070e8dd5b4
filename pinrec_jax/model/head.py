"""From a state and the wanted condition to a query."""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from pinrec_jax.model import item_embedder
from pinrec_jax.types import AnyArray


class Condition(NamedTuple):
  """What the next item should be like; 0 leaves a part unspecified.

  Everything else counts from 1, so that what the log does not know (an old
  event's surface or time) is told apart from what nobody asked for.
  """

  outcome: Int[AnyArray, "*#b"]  # 1 + the outcome
  surface: Int[AnyArray, "*#b"]  # 1 + the surface, whose own 0 is unknown
  offset: Int[AnyArray, "*#b"]  # 1 + the bucket of time ahead; 0 is unknown
  item_type: Int[AnyArray, "*#b"]  # 1 + the type
  # 1 + the bucket of its age when training ended; 0 is unknown. Not in the
  # paper: what is popular changes, and a request wants what is now.
  age: Int[AnyArray, "*#b"]


UNSPECIFIED = Condition(*[np.zeros((), np.int32)] * 5)


class OutcomeHead(nn.Module):
  """Where the next item should lie, per wanted outcome, surface and so on.

  One MLP serves every condition, so many queries cost one backbone pass
  (arXiv 2504.10507, outcome-conditioned generation). There it reads the
  condition beside the state. A "shift" is added to its answer instead: what
  is wanted then moves every user's query alike, by as many numbers as a
  vector has, and is learned from all users' targets. Without an MLP the
  "state" itself is what the condition shifts.
  """

  dim: int
  outcomes: int
  surfaces: int
  offsets: int
  item_types: int
  ages: int
  conditioned: bool
  kind: str = "mlp"
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, h: Float[Array, "*b w"], condition: Condition
  ) -> Float[Array, "*b d"]:
    width, shift = h.shape[-1], jnp.zeros((), self.dtype)
    if self.conditioned and self.kind != "mlp":
      shift = self._asked(condition, self.dim)
    elif self.conditioned:
      asked = self._asked(condition, width)
      h = jnp.concatenate(
        [h, jnp.broadcast_to(asked, (*h.shape[:-1], width))], -1
      )
    if self.kind == "state":
      return item_embedder.unit(h + shift)
    # As one matrix: the gradients of kernels are then plain products.
    whole, h = h.shape[:-1], h.reshape(-1, h.shape[-1])
    h = nn.Dense(2 * width, dtype=self.dtype, name="hidden")(h)
    h = nn.Dense(self.dim, dtype=self.dtype)(nn.gelu(h))
    return item_embedder.unit(h.reshape(*whole, self.dim) + shift)

  def _asked(self, condition: Condition, width: int) -> Float[Array, "*#b w"]:
    """Returns the sum of a vector for each part of a condition."""
    # From a small start, a rare condition differs from an unspecified one
    # only as far as its own data say.
    small = nn.initializers.normal(0.02)
    sizes = (
      self.outcomes, self.surfaces, self.offsets + 1, self.item_types,
      self.ages + 1,
    )  # fmt: skip
    named = zip(Condition._fields, sizes, condition, strict=True)
    parts = (
      nn.Embed(
        size + 1, width, dtype=self.dtype, embedding_init=small, name=name
      )(index)
      for name, size, index in named
    )
    return functools.reduce(jnp.add, parts)
