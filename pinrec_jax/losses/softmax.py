"""Softmax over sampled negatives, for one acceptable target or several."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from pinrec_jax import config as config_lib
from pinrec_jax import grouped
from pinrec_jax.types import AnyArray

LOWEST = -1e9  # below every score there can be


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
  so one log-sum-exp a query serves all the targets it may meet. Which of them
  are negatives of a query that may not meet them is told among the row's own
  items, of which there are few: its targets' vectors then stand for those of
  the same negatives.

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
  query = jnp.asarray(query) / temperature
  targets = jax.tree.map(jnp.asarray, targets)
  negatives = jax.tree.map(jnp.asarray, negatives)
  block = min(config.block, len(negatives.item))
  sizes = Sizes(block, config.chunk * block)
  if config.objective in config_lib.ONE_TARGET:
    own = _only(targets, config)
    met = own.item > 0
    rest = _rest(query, own.item[..., None], negatives, sizes)
    score = jnp.sum(query * own.vector, -1) - own.bias
    return jnp.where(met, jax.nn.softplus(rest - score), 0.0)
  rest = _rest(query, targets.item[:, None], negatives, sizes)

  def of_rows(
    query: Float[Array, "r q d"],
    of: Targets,
    counts: Float[Array, "r l"],
    rest: Float[Array, "r q"],
  ) -> Float[Array, "r q"]:
    score = jnp.einsum("rqd,rld->rql", query, of.vector)
    unmet = jnp.where(_meets_item(of), LOWEST, score + counts[:, None])
    rest = jnp.logaddexp(rest, jax.nn.logsumexp(unmet, -1))
    # Above the lowest score there can be, so that nothing is ever infinite.
    score = jnp.where(of.meets, score - of.bias[:, None], LOWEST)
    return _relaxed(jax.nn.softplus(rest[..., None] - score), of.meets, config)

  each = targets.meets[0].size
  held = config.chunk * targets.item.shape[1]
  counts = _counts(targets.item, negatives)
  return grouped.rows(
    of_rows, query, targets, counts, rest, each=each, held=held
  )


def _only(targets: Targets, config: config_lib.Loss) -> Targets:
  """Returns the one target that each query may meet; item 0 is none."""
  vector, item, meets, bias = targets
  if config.objective != "next_item":
    met = jnp.argmax(meets, -1)
    rows = jnp.arange(len(met))[:, None]
    vector, item, bias = (x[rows, met] for x in (vector, item, bias))
  some = jnp.any(meets, -1)
  return Targets(vector, jnp.where(some, item, 0), some, bias)


def _counts(
  item: Int[AnyArray, "b l"], negatives: Scored
) -> Float[Array, "b l"]:
  """Returns the log of what a row's items count for among the negatives.

  An item's first place in its row counts for all of its negatives, later ones
  for none.
  """
  before = jnp.tri(item.shape[1], k=-1, dtype=bool)
  later = jnp.any((item[:, :, None] == item[:, None, :]) & before, -1)
  weight = jnp.exp(-negatives.log_expected)
  same = item[..., None] == negatives.item
  total = jnp.sum(jnp.where(same, weight, 0.0), -1)
  some = (total > 0) & ~later & (item > 0)
  return jnp.where(some, jnp.log(jnp.where(some, total, 1.0)), LOWEST)


def _meets_item(targets: Targets) -> Bool[Array, "b q l"]:
  """Returns at which places lies an item that a query may meet anywhere."""
  same = targets.item[:, :, None] == targets.item[:, None, :]
  # A product counts how often an item is among those it may meet.
  return (
    jnp.matmul(targets.meets.astype(jnp.float32), same.astype(jnp.float32)) > 0
  )


class Sizes(NamedTuple):
  """How much is scored at once."""

  block: int  # negatives
  held: int  # logits; 0 is what suits the device


def _logits(
  query: Float[Array, "r q d"], own: Int[Array, "r #q k"], block: Scored
) -> Float[Array, "r q n"]:
  logits = jnp.einsum("rqd,nd->rqn", query, block.vector) - block.log_expected
  hidden = jnp.any(own[..., None] == block.item, -2) | (block.item == 0)
  return jnp.where(hidden, -jnp.inf, logits)


def _summed(
  query: Float[Array, "b q d"],
  own: Int[Array, "b #q k"],
  negatives: Scored,
  sizes: Sizes,
) -> Float[Array, "b q"]:
  """Returns the log of the sum over a query's negatives but those in `own`.

  Its gradient holds no more logits than it does: it computes them again, and
  needs one exponential of each.
  """
  blocks = _blocks(negatives, sizes.block)

  def of_rows(
    query: Float[Array, "r q d"], own: Int[Array, "r #q k"]
  ) -> Float[Array, "r q"]:
    def add(
      carry: tuple[Float[Array, "r q"], Float[Array, "r q"]], block: Scored
    ):
      top, total = carry
      logits = _logits(query, own, block)
      higher = jnp.maximum(top, jnp.max(logits, -1))
      rest = jnp.sum(jnp.exp(logits - higher[..., None]), -1)
      return (higher, total * jnp.exp(top - higher) + rest), None

    start = jnp.full(query.shape[:2], LOWEST), jnp.zeros(query.shape[:2])
    (top, total), _ = jax.lax.scan(add, start, blocks)
    return jnp.log(jnp.maximum(total, 1e-37)) + top

  each = query.shape[1] * sizes.block
  return grouped.rows(of_rows, query, own, each=each, held=sizes.held)


def _rest_forward(
  query: Float[Array, "b q d"],
  own: Int[Array, "b #q k"],
  negatives: Scored,
  sizes: Sizes,
) -> tuple[Float[Array, "b q"], tuple]:
  rest = _summed(query, own, negatives, sizes)
  return rest, (query, own, negatives, rest)


def _rest_backward(
  sizes: Sizes, kept: tuple, slope: Float[Array, "b q"]
) -> tuple[Float[Array, "b q d"], None, Scored]:
  query, own, negatives, rest = kept
  blocks = _blocks(negatives, sizes.block)

  def of_rows(of_negatives: Float[Array, "_ n d"], part: tuple):
    query, own, rest, slope = part

    def add(of_query: Float[Array, "r q d"], block: Scored):
      logits = _logits(query, own, block)
      weight = jnp.exp(logits - rest[..., None]) * slope[..., None]
      of_query += jnp.einsum("rqn,nd->rqd", weight, block.vector)
      return of_query, jnp.einsum("rqn,rqd->nd", weight, query)

    of_query, more = jax.lax.scan(add, jnp.zeros_like(query), blocks)
    return of_negatives + more, of_query

  each = query.shape[1] * sizes.block
  group = grouped.at_once(len(query), each, sizes.held)
  parts = grouped.split((query, own, rest, slope), group)
  found, of_query = jax.lax.scan(of_rows, jnp.zeros_like(blocks.vector), parts)
  found = found.reshape(-1, found.shape[-1])[: len(negatives.item)]
  # Items and expected counts are not learned.
  learned = negatives._replace(vector=found, item=None, log_expected=None)
  return grouped.joined(of_query), None, learned


_rest = jax.custom_vjp(_summed, nondiff_argnums=(3,))
_rest.defvjp(_rest_forward, _rest_backward)


def _blocks(negatives: Scored, size: int) -> Scored:
  """Splits negatives into blocks; item 0 fills up the last."""
  pad = -len(negatives.item) % size

  def split(x: Shaped[AnyArray, "n ..."]) -> Shaped[Array, "_ _ ..."]:
    x = jnp.pad(x, [(0, pad)] + [(0, 0)] * (x.ndim - 1))
    return x.reshape(-1, size, *x.shape[1:])

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
  if config.relax == "mean":
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
