"""Softmax over sampled negatives, for one acceptable target or several."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from pinrec_jax import config as config_lib
from pinrec_jax.types import AnyArray


class Targets(NamedTuple):
  """The targets of each row, and which of them each query may meet."""

  vector: Float[AnyArray, "b l d"]
  item: Int[AnyArray, "b l"]  # 0 is none
  meets: Bool[AnyArray, "b q l"]
  bias: Float[AnyArray, "b l"]  # subtracted from a target's score


class Scored(NamedTuple):
  """Negatives all queries share."""

  vector: Float[AnyArray, "n d"]
  item: Int[AnyArray, "n"]
  log_expected: Float[AnyArray, "n"]  # subtracted from a negative's score


def sampled_softmax(
  query: Float[AnyArray, "b q d"],
  targets: Targets,
  negatives: Scored,
  *,
  temperature: Float[Array, ""] | float,
  config: config_lib.Loss,
) -> Float[Array, "b q"]:
  """Cross-entropy of each query's targets against shared negatives.

  A positive is in the sum by construction, so it alone stays uncorrected; a
  negative counts by one over how often it is expected among the negatives,
  which makes the sum an estimate of the full softmax's (arXiv 2507.09331,
  with the expected count of a mixture in place of a unigram probability).
  The classic correction gives the positive a bias too.

  The loss of a target falls as its score rises, whatever the negatives are,
  so one log-sum-exp a query serves all the targets it may meet.

  Args:
    query: unit-norm predictions.
    targets: of the same rows. The items a query may meet are left out of its
      negatives, and so is item 0.
    negatives: shared by all queries.
    temperature: of the softmax, > 0.
    config: `relax` says how the losses of several targets become one, `chunk`
      how many queries and `block` how many negatives are scored at once: that
      many logits are all that is ever held, and the backward pass computes
      them again.

  Returns:
    nats, float32; 0 where a query may meet nothing.
  """
  item = jnp.asarray(negatives.item)
  one = config.objective in config_lib.ONE_TARGET

  def of_rows(
    part: tuple[Float[Array, "r q d"], Targets],
  ) -> Float[Array, "r q"]:
    query, of = part
    score = jnp.einsum("rqd,rld->rql", query, of.vector) / temperature
    score = jnp.where(of.meets, score - of.bias[:, None], -jnp.inf)
    own = jnp.max(jnp.where(of.meets, of.item[:, None], 0), -1)

    def block_sum(
      carry: tuple[Float[Array, "r q"], Float[Array, "r q"]], block: Scored
    ):
      top, total = carry
      logits = jnp.einsum("rqd,nd->rqn", query, block.vector) / temperature
      # Of a single target the item alone tells which negatives are hits; of
      # several, a product counts how often a negative is among them.
      if one:
        hit = block.item == own[..., None]
      else:
        match = (of.item[..., None] == block.item).astype(logits.dtype)
        hit = of.meets.astype(logits.dtype) @ match > 0
      hidden = hit | (block.item == 0)
      logits = jnp.where(hidden, -jnp.inf, logits - block.log_expected)
      higher = jnp.maximum(top, jax.lax.stop_gradient(jnp.max(logits, -1)))
      rest = jnp.sum(jnp.exp(logits - higher[..., None]), -1)
      return (higher, total * jnp.exp(top - higher) + rest), None

    # Above the lowest score there can be, so that nothing is ever infinite.
    start = jnp.full(query.shape[:2], -1e9), jnp.zeros(query.shape[:2])
    blocks = _blocks(negatives._replace(item=item), config.block)
    if blocks.item.shape[0] == 1:
      (top, total), _ = block_sum(start, jax.tree.map(lambda x: x[0], blocks))
    else:
      (top, total), _ = jax.lax.scan(jax.checkpoint(block_sum), start, blocks)
    rest = jnp.log(jnp.maximum(total, 1e-37)) + top
    return _relaxed(jax.nn.softplus(rest[..., None] - score), of.meets, config)

  # A row of each part from every stretch of the batch, so that a batch that
  # lies on several devices is worked on by all of them at once.
  size = query.shape[0]
  at_once = _divisor(size, max(1, config.chunk // query.shape[1]))

  def split(x: Shaped[AnyArray, "b ..."]) -> Shaped[Array, "_ _ ..."]:
    return jnp.swapaxes(
      jnp.reshape(x, (at_once, size // at_once, *x.shape[1:])), 0, 1
    )

  parts = jax.tree.map(split, (jnp.asarray(query), targets))
  losses = jax.lax.map(jax.checkpoint(of_rows), parts)
  return jnp.swapaxes(losses, 0, 1).reshape(query.shape[:2])


def _divisor(of: int, most: int) -> int:
  return next(n for n in range(min(of, most), 0, -1) if of % n == 0)


def _blocks(negatives: Scored, size: int) -> Scored:
  """Splits negatives into blocks; item 0 fills up the last."""
  pad = -negatives.item.shape[0] % min(size, negatives.item.shape[0])

  def split(x: Shaped[AnyArray, "n ..."]) -> Shaped[Array, "_ _ ..."]:
    x = jnp.pad(x, [(0, pad)] + [(0, 0)] * (x.ndim - 1))
    return x.reshape(-1, min(size, x.shape[0]), *x.shape[1:])

  return jax.tree.map(split, negatives)


def _relaxed(
  losses: Float[Array, "*b l"],
  meets: Bool[AnyArray, "*b l"],
  config: config_lib.Loss,
) -> Float[Array, "*b"]:
  """Returns one loss of the losses of the targets that may be met.

  The minimum is the paper's (arXiv 2504.10507, intra-feed relaxation).
  """
  count = jnp.maximum(jnp.sum(meets, -1), 1)
  if config.relax == "mean" or config.objective in config_lib.ONE_TARGET:
    return jnp.sum(jnp.where(meets, losses, 0.0), -1) / count
  losses = jnp.where(meets, losses, jnp.inf)
  least = jnp.min(losses, -1)
  least = jnp.where(jnp.isfinite(least), least, 0.0)
  if config.relax == "min":
    return least
  # -s log mean exp(-loss / s): the minimum as s falls, the mean as it grows.
  apart = jnp.where(
    meets, jnp.exp((least[..., None] - losses) / config.softness), 0.0
  )
  mean = jnp.sum(apart, -1) / count
  return least - config.softness * jnp.log(jnp.maximum(mean, 1e-37))
