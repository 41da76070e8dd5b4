"""Negatives of a training step, with their expected counts for logQ."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pinrec_jax import config as config_lib
from pinrec_jax.types import AnyArray

SMALLEST = 1e-20  # Lower bound of an expected count, so that its log is finite.


class Negatives(NamedTuple):
  """Negatives that all queries of a step share.

  Attributes:
    item: rows of the item table; 0 is none.
    log_expected: log of the expected count of each item among the negatives; 0
      if the loss is not corrected.
  """

  item: Int[Array, "n"]
  log_expected: Float[Array, "n"]


class Frequencies(NamedTuple):
  """How often each item occurs in the training data; both sum to 1.

  Attributes:
    target: fraction of the training targets.
    impression: fraction of the impressions without engagement.
  """

  target: Float[AnyArray, "v"]
  impression: Float[AnyArray, "v"]


def draw(
  key: PRNGKeyArray,
  target: Int[AnyArray, "b"],
  impression: Int[AnyArray, "_"],
  frequencies: Frequencies,
  config: config_lib.Loss,
) -> tuple[Negatives, Float[Array, "b"]]:
  """Draws negatives from batch targets, batch impressions and the catalog.

  Each item can come from any of the three sources. So its expected count is
  that of the mixture (arXiv 2507.09331, with a mixture in place of one sampling
  distribution).

  Args:
    key: random key of the draws.
    target: target items of the global batch; 0 is none.
    impression: impressions without engagement of the global batch; 0 is none.
    frequencies: frequencies of all items.
    config: number of negatives from each source.

  Returns:
    The negatives, and the log of the expected count of every target among them.
    With `full_softmax` the negatives are all items, each expected once.
  """
  items = len(frequencies.target) - 1
  if config.full_softmax:
    everything = Negatives(jnp.arange(1, items + 1), jnp.zeros(items))
    return everything, jnp.zeros(target.shape)
  target_key, uniform_key, impression_key = jax.random.split(key, 3)
  drawn, sizes = [], []
  for source_key, source, number in (
    (target_key, target, config.in_batch_negatives),
    (impression_key, impression, config.impression_negatives),
  ):
    shuffled = jax.random.permutation(source_key, source)
    # Zeros go last, so that real items are chosen first.
    chosen = shuffled[jnp.argsort(shuffled == 0, stable=True)][:number]
    drawn.append(chosen)
    sizes.append(jnp.sum(chosen > 0))
  drawn.append(
    jax.random.randint(uniform_key, (config.uniform_negatives,), 1, items + 1)
  )

  def _log_expected(item: Int[AnyArray, "_"]) -> Float[Array, "_"]:
    expected = config.uniform_negatives / items
    expected += sizes[0] * frequencies.target[item]
    if config.impression_negatives:
      expected += sizes[1] * frequencies.impression[item]
    return jnp.log(jnp.maximum(expected, SMALLEST))

  item = jnp.concatenate(drawn)
  correction = _log_expected(item) * (config.logq != "none")
  return Negatives(item, correction), _log_expected(target)
