"""Where negatives come from, and how often each is expected."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pinrec_jax.types import AnyArray


class Negatives(NamedTuple):
  """Shared negatives: their items, and the log of their expected counts."""

  item: Int[Array, "n"]
  log_expected: Float[Array, "n"]


def mixed(
  key: PRNGKeyArray,
  targets: Int[AnyArray, "b"],
  share: Float[AnyArray, "v"],
  *,
  in_batch: int,
  uniform: int,
) -> Negatives:
  """Draws negatives from the batch's own targets and from all items.

  Args:
    key: of the draw.
    targets: the batch's target items; 0 is none.
    share: each item's share of all training targets; row 0 is no item.
    in_batch: draws without replacement from the targets.
    uniform: draws from items 1 to v - 1.
  """
  batch_key, uniform_key = jax.random.split(key)
  own = jax.random.permutation(batch_key, targets)[:in_batch]
  items = share.shape[0] - 1
  drawn = jax.random.randint(uniform_key, (uniform,), 1, items + 1)
  item = jnp.concatenate([own, drawn])
  expected = jnp.sum(own > 0) * share[item] + uniform / items
  return Negatives(item, jnp.log(jnp.maximum(expected, 1e-20)))
