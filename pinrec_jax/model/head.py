"""The head: from a state and a condition to a query."""

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

  All other values count from 1. A value that the log does not know (an old
  event's surface or time) therefore differs from an unspecified one.

  Attributes:
    outcome: 1 + the outcome.
    surface: 1 + the surface; the log's surface 0 is unknown.
    offset: 1 + the bucket of time ahead; bucket 0 is unknown.
    item_type: 1 + the item type.
    age: 1 + the bucket of the target's age at the end of training; bucket 0 is
      unknown. It is not in the paper. It lets a request ask for recent items,
      as popularity changes over time.
  """

  outcome: Int[AnyArray, "*#b"]
  surface: Int[AnyArray, "*#b"]
  offset: Int[AnyArray, "*#b"]
  item_type: Int[AnyArray, "*#b"]
  age: Int[AnyArray, "*#b"]


UNSPECIFIED = Condition(*[np.zeros((), np.int32)] * 5)


class OutcomeHead(nn.Module):
  """Predicts the vector of the next item under a condition.

  One MLP serves every condition, so many queries cost one pass of the backbone
  (arXiv 2504.10507, outcome-conditioned generation). There are three kinds:

    mlp: the MLP reads the condition beside the state, as in the paper.
    shift: the condition's vector is added to the output of the MLP. It then
      shifts the queries of all users alike, and all users' targets train it.
    state: as shift, with the state itself in place of the MLP's output.

  Attributes:
    embedding_dim: size of a query.
    outcomes: number of outcomes.
    surfaces: number of surfaces.
    offsets: number of buckets of time ahead.
    item_types: number of item types.
    ages: number of buckets of target age.
    conditioned: whether conditions are read at all.
    kind: "mlp", "shift" or "state".
    dtype: type of activations.
  """

  embedding_dim: int
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
    hidden_dim, shift = h.shape[-1], jnp.zeros((), self.dtype)
    if self.conditioned and self.kind != "mlp":
      shift = self._embed(condition, self.embedding_dim)
    elif self.conditioned:
      wanted = self._embed(condition, hidden_dim)
      h = jnp.concatenate(
        [h, jnp.broadcast_to(wanted, (*h.shape[:-1], hidden_dim))], -1
      )
    if self.kind == "state":
      return item_embedder.unit(h + shift)
    # Flattened to a matrix, the kernels' gradients are plain products.
    shape, h = h.shape[:-1], h.reshape(-1, h.shape[-1])
    h = nn.Dense(2 * hidden_dim, dtype=self.dtype, name="hidden")(h)
    h = nn.Dense(self.embedding_dim, dtype=self.dtype)(nn.gelu(h))
    return item_embedder.unit(h.reshape(*shape, self.embedding_dim) + shift)

  def _embed(self, condition: Condition, size: int) -> Float[Array, "*#b w"]:
    """Returns the sum of a learned vector for each part of a condition."""
    # With small initial values, a rare condition differs from an unspecified
    # one only as far as its own data support it.
    small = nn.initializers.normal(0.02)
    sizes = (
      self.outcomes, self.surfaces, self.offsets + 1, self.item_types,
      self.ages + 1,
    )  # fmt: skip
    named = zip(Condition._fields, sizes, condition, strict=True)
    parts = (
      nn.Embed(
        values + 1, size, dtype=self.dtype, embedding_init=small, name=name
      )(index)
      for name, values, index in named
    )
    return functools.reduce(jnp.add, parts)
