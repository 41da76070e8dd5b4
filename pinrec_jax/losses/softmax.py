"""Softmax over sampled negatives, for one positive per query or several."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from pinrec_jax import chunking
from pinrec_jax import config as config_lib
from pinrec_jax.losses import positives
from pinrec_jax.types import AnyArray

LOWEST = -1e9  # Below every possible score.
BLOCK = 8192  # Negatives that are scored at once.
SOFTNESS = 0.5  # Of the soft minimum, in nats.


class Targets(NamedTuple):
  """The targets of each row, and the positives of each query.

  Attributes:
    vector: unit-norm vectors of the targets.
    item: their items; 0 is none.
    positive: positive mask of the queries.
    bias: subtracted from a target's score when it is the positive.
  """

  vector: Float[AnyArray, "b l d"]
  item: Int[AnyArray, "b l"]
  positive: Bool[AnyArray, "b q l"]
  bias: Float[AnyArray, "b l"]


class Negatives(NamedTuple):
  """Negatives that all queries share.

  Attributes:
    vector: unit-norm vectors.
    item: their items; 0 is none.
    log_expected: subtracted from a negative's score.
  """

  vector: Float[AnyArray, "n d"]
  item: Int[AnyArray, "n"]
  log_expected: Float[AnyArray, "n"]


class Sizes(NamedTuple):
  """How much is scored at once.

  Attributes:
    block: negatives.
    held: logits that a device holds; 0 chooses a size automatically.
  """

  block: int
  held: int


def sampled_softmax(
  query: Float[AnyArray, "b q d"],
  targets: Targets,
  negatives: Negatives,
  *,
  temperature: Float[Array, ""] | float,
  config: config_lib.Loss,
  block: int = BLOCK,
  chunk: int = 0,
) -> Float[Array, "b q"]:
  """Cross-entropy of each query's positives against shared negatives.

  The positive is in the sum by construction, so it is not corrected. A negative
  is weighted by the inverse of its expected count, so that the sum estimates
  the sum of the full softmax (arXiv 2507.09331, with the expected count of a
  mixture in place of a unigram probability). The classic correction also gives
  the positive a bias.

  The loss of a positive falls as its score rises, whatever the negatives are.
  So one log-sum-exp per query serves all of its positives. Positives of a query
  are removed from its negatives. If a query has several positives, negatives
  that equal a target of the same row are found once per row.

  Args:
    query: unit-norm predictions.
    targets: targets of the same rows.
    negatives: shared by all queries. Item 0 is ignored.
    temperature: softmax temperature, > 0.
    config: the objective, and how losses of several positives become one.
    block: negatives that are scored at once.
    chunk: queries that are scored at once; 0 chooses a size automatically. The
      backward pass computes the logits again, so that chunk x block logits are
      all that is ever held.

  Returns:
    The loss in nats, float32; 0 for a query without a positive.
  """
  query = jnp.asarray(query) / temperature
  targets = jax.tree.map(jnp.asarray, targets)
  negatives = jax.tree.map(jnp.asarray, negatives)
  block = min(block, len(negatives.item))
  sizes = Sizes(block, chunk * block)
  if positives.objective(config.objective).trained != "all":
    own = _single(targets, config)
    score = jnp.sum(query * own.vector, -1) - own.bias
    rest = _log_sum(query, own.item[..., None], negatives, sizes)
    return jnp.where(own.item > 0, jax.nn.softplus(rest - score), 0.0)
  rest = _log_sum(query, targets.item[:, None], negatives, sizes)

  def of_rows(
    query: Float[Array, "r q d"],
    of: Targets,
    log_count: Float[Array, "r l"],
    rest: Float[Array, "r q"],
  ) -> Float[Array, "r q"]:
    score = jnp.einsum("rqd,rld->rql", query, of.vector)
    own_negatives = jnp.where(
      _positive_item(of), LOWEST, score + log_count[:, None]
    )
    rest = jnp.logaddexp(rest, jax.nn.logsumexp(own_negatives, -1))
    # LOWEST in place of -inf keeps every gradient finite.
    score = jnp.where(of.positive, score - of.bias[:, None], LOWEST)
    losses = jax.nn.softplus(rest[..., None] - score)
    return _reduced(losses, of.positive, config)

  return chunking.rows(
    of_rows,
    query,
    targets,
    _log_counts(targets.item, negatives),
    rest,
    each=targets.positive[0].size,
    held=chunk * targets.item.shape[1],
  )


def _single(targets: Targets, config: config_lib.Loss) -> Targets:
  """Returns the single positive of each query; item 0 is none."""
  vector, item, positive, bias = targets
  if positives.objective(config.objective).trained == "one":
    place = jnp.argmax(positive, -1)
    rows = jnp.arange(len(place))[:, None]
    vector, item, bias = (x[rows, place] for x in (vector, item, bias))
  some = jnp.any(positive, -1)
  return Targets(vector, jnp.where(some, item, 0), some, bias)


def _log_counts(
  item: Int[AnyArray, "b l"], negatives: Negatives
) -> Float[Array, "b l"]:
  """Returns the log weight of a row's own items among the negatives.

  If an item is several times in a row, its first place gets the whole weight.
  """
  before = jnp.tri(item.shape[1], k=-1, dtype=bool)
  later = jnp.any((item[:, :, None] == item[:, None, :]) & before, -1)
  weight = jnp.exp(-negatives.log_expected)
  same = item[..., None] == negatives.item
  total = jnp.sum(jnp.where(same, weight, 0.0), -1)
  some = (total > 0) & ~later & (item > 0)
  return jnp.where(some, jnp.log(jnp.where(some, total, 1.0)), LOWEST)


def _positive_item(targets: Targets) -> Bool[Array, "b q l"]:
  """Returns which places hold an item that is a positive at any place."""
  same = targets.item[:, :, None] == targets.item[:, None, :]
  positive = targets.positive.astype(jnp.float32)
  return jnp.matmul(positive, same.astype(jnp.float32)) > 0


def _logits(
  query: Float[Array, "r q d"], own: Int[Array, "r #q k"], block: Negatives
) -> Float[Array, "r q n"]:
  logits = jnp.einsum("rqd,nd->rqn", query, block.vector) - block.log_expected
  hidden = jnp.any(own[..., None] == block.item, -2) | (block.item == 0)
  return jnp.where(hidden, -jnp.inf, logits)


def _log_sum_value(
  query: Float[Array, "b q d"],
  own: Int[Array, "b #q k"],
  negatives: Negatives,
  sizes: Sizes,
) -> Float[Array, "b q"]:
  """Returns the log of the sum over all negatives but those in `own`.

  The gradient computes the logits again. So it holds no more of them than the
  forward pass, and takes one exponential of each.
  """
  blocks = _blocks(negatives, sizes.block)

  def of_rows(
    query: Float[Array, "r q d"], own: Int[Array, "r #q k"]
  ) -> Float[Array, "r q"]:
    def add(
      carry: tuple[Float[Array, "r q"], Float[Array, "r q"]], block: Negatives
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
  return chunking.rows(of_rows, query, own, each=each, held=sizes.held)


def _log_sum_forward(
  query: Float[Array, "b q d"],
  own: Int[Array, "b #q k"],
  negatives: Negatives,
  sizes: Sizes,
) -> tuple[Float[Array, "b q"], tuple]:
  rest = _log_sum_value(query, own, negatives, sizes)
  return rest, (query, own, negatives, rest)


def _log_sum_backward(
  sizes: Sizes, kept: tuple, slope: Float[Array, "b q"]
) -> tuple[Float[Array, "b q d"], None, Negatives]:
  query, own, negatives, rest = kept
  blocks = _blocks(negatives, sizes.block)

  def of_rows(of_negatives: Float[Array, "_ n d"], part: tuple):
    query, own, rest, slope = part

    def add(of_query: Float[Array, "r q d"], block: Negatives):
      logits = _logits(query, own, block)
      weight = jnp.exp(logits - rest[..., None]) * slope[..., None]
      of_query += jnp.einsum("rqn,nd->rqd", weight, block.vector)
      return of_query, jnp.einsum("rqn,rqd->nd", weight, query)

    of_query, more = jax.lax.scan(add, jnp.zeros_like(query), blocks)
    return of_negatives + more, of_query

  each = query.shape[1] * sizes.block
  group = chunking.at_once(len(query), each, sizes.held)
  parts = chunking.split((query, own, rest, slope), group)
  found, of_query = jax.lax.scan(of_rows, jnp.zeros_like(blocks.vector), parts)
  found = found.reshape(-1, found.shape[-1])[: len(negatives.item)]
  # Items and expected counts have no gradient.
  gradient = negatives._replace(vector=found, item=None, log_expected=None)
  return chunking.joined(of_query), None, gradient


_log_sum = jax.custom_vjp(_log_sum_value, nondiff_argnums=(3,))
_log_sum.defvjp(_log_sum_forward, _log_sum_backward)


def _blocks(negatives: Negatives, size: int) -> Negatives:
  """Splits negatives into blocks; item 0 pads the last one."""
  pad = -len(negatives.item) % size

  def split(x: Shaped[AnyArray, "n ..."]) -> Shaped[Array, "_ _ ..."]:
    x = jnp.pad(x, [(0, pad)] + [(0, 0)] * (x.ndim - 1))
    return x.reshape(-1, size, *x.shape[1:])

  return jax.tree.map(split, negatives)


def _reduced(
  losses: Float[Array, "*b l"],
  positive: Bool[AnyArray, "*b l"],
  config: config_lib.Loss,
) -> Float[Array, "*b"]:
  """Returns one loss from the losses of all positives.

  The minimum is the paper's (arXiv 2504.10507, intra-feed relaxation). The soft
  minimum is -s log mean exp(-loss / s).
  """
  count = jnp.maximum(jnp.sum(positive, -1), 1)
  if config.multi_positive == "mean":
    return jnp.sum(jnp.where(positive, losses, 0.0), -1) / count
  least = jnp.min(jnp.where(positive, losses, jnp.inf), -1)
  least = jnp.where(jnp.isfinite(least), least, 0.0)
  if config.multi_positive == "min":
    return least
  apart = jnp.where(
    positive, jnp.exp((least[..., None] - losses) / SOFTNESS), 0.0
  )
  mean = jnp.sum(apart, -1) / count
  return least - SOFTNESS * jnp.log(jnp.maximum(mean, 1e-37))
