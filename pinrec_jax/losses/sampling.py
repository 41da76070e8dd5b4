"""Where negatives come from, and how often each is expected."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from pinrec_jax import config as config_lib
from pinrec_jax.types import AnyArray


class Negatives(NamedTuple):
  """Shared negatives: their items, and the log of their expected counts."""

  item: Int[Array, "n"]
  log_expected: Float[Array, "n"]


ABSENT = 1e9  # a log expected count that leaves nothing of a negative

# An item's share of a source's draws.
Share = Callable[[Int[AnyArray, "*n"]], Float[Array, "*n"]]


class Mixture(NamedTuple):
  """Three sources of negatives: a batch's own targets, all items, impressions.

  An item drawn from any of them is as likely to have come from another, so
  its expected count is that of the whole mixture.
  """

  items: int  # in the catalogue; rows 1 to `items` of its table
  own: Share  # of the training targets
  shown: Share  # of the events shown and not acted on
  withheld: Bool[AnyArray, "v"] | None = None  # items that are no negatives

  def draw(
    self,
    key: PRNGKeyArray,
    targets: Int[AnyArray, "b"],
    shown: Int[AnyArray, "_"],
    config: config_lib.Loss,
  ) -> tuple[Negatives, Float[Array, "b"]]:
    """Draws negatives.

    Args:
      key: of the draw.
      targets: the global batch's target items; 0 is none.
      shown: the global batch's impressions without action; 0 is none.
      config: how many negatives of each source.

    Returns:
      the negatives, uncorrected if the configuration says so, and the log
      expected count of every target among them. Of a full softmax they are all
      items, each expected once.
    """
    if config.full:
      everything = jnp.arange(1, self.items + 1)
      once = self._but_withheld(everything, jnp.zeros(self.items))
      return Negatives(everything, once), jnp.zeros(targets.shape)
    own_key, uniform_key, shown_key = jax.random.split(key, 3)
    parts, sizes = [], []
    for source_key, source, wanted in (
      (own_key, targets, config.in_batch),
      (shown_key, shown, config.impressions),
    ):
      mixed = jax.random.permutation(source_key, source)
      # What is none comes last, so that as many are drawn as there are.
      drawn = mixed[jnp.argsort(mixed == 0, stable=True)][:wanted]
      parts.append(drawn)
      sizes.append(jnp.sum(drawn > 0))
    parts.append(
      jax.random.randint(uniform_key, (config.uniform,), 1, self.items + 1)
    )

    def log_expected(item: Int[AnyArray, "_"]) -> Float[Array, "_"]:
      expected = config.uniform / self.items
      expected += sizes[0] * self.own(item)
      if config.impressions:
        expected += sizes[1] * self.shown(item)
      return jnp.log(jnp.maximum(expected, 1e-20))

    item = jnp.concatenate(parts)
    correction = log_expected(item) * (config.logq != "none")
    negatives = Negatives(item, self._but_withheld(item, correction))
    return negatives, log_expected(targets)

  def _but_withheld(
    self, item: Int[Array, "n"], log_expected: Float[Array, "n"]
  ) -> Float[Array, "n"]:
    if self.withheld is None:
      return log_expected
    return jnp.where(jnp.asarray(self.withheld)[item], ABSENT, log_expected)
