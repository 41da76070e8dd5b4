"""Softmax over shared negatives, for one or several positives per query."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from pinrec_jax import chunking
from pinrec_jax import config as config_lib
from pinrec_jax.losses import positives
from pinrec_jax.types import AnyArray

LOWEST = -1e9  # Below every possible score.
TINY = 1e-37  # Keeps a logarithm finite.
# Negatives that are scored at a time. On a TPU, their logits then fit into the
# memory on the chip.
BLOCK, TPU_BLOCK = 8192, 1024
SOFTNESS = 0.5  # Of the soft minimum, in nats.


class Targets(NamedTuple):
  """The targets of each row, and the positives of each query.

  Attributes:
    vector: unit-norm vectors of the targets.
    item: items of the targets; 0 is none.
    positive: positive mask of the queries.
    bias: number that is subtracted from the score of a positive.
  """

  vector: Float[AnyArray, "b l d"]
  item: Int[AnyArray, "b l"]
  positive: Bool[AnyArray, "b q l"]
  bias: Float[AnyArray, "b l"]


class Negatives(NamedTuple):
  """Negatives that all queries share.

  Attributes:
    vector: unit-norm vectors.
    item: items of the vectors; 0 is none.
    log_expected: number that is subtracted from the score of a negative.
  """

  vector: Float[AnyArray, "n d"]
  item: Int[AnyArray, "n"]
  log_expected: Float[AnyArray, "n"]


def sampled_softmax(
  query: Float[AnyArray, "b q d"],
  targets: Targets,
  negatives: Negatives,
  weight: Float[AnyArray, "b q"],
  *,
  temperature: Float[Array, ""] | float,
  config: config_lib.Loss,
  block: int = 0,
  chunk: int = 0,
) -> Float[Array, ""]:
  """Cross-entropy of each query's positives against shared negatives.

  A negative is weighted by the inverse of its expected count. The sum over
  negatives then estimates the sum of the full softmax (arXiv 2507.09331, with
  the expected count of a mixture in place of a unigram probability). The
  positive is always in the sum, so it is not corrected. The classic correction
  also gives the positive a bias.

  Positives of a query are removed from its negatives. All positives of a query
  share one log-sum-exp over its negatives. If a query has several positives,
  negatives that equal a target of the same row are found once per row.

  Args:
    query: unit-norm predictions.
    targets: targets of the same rows; their biases have no gradient.
    negatives: negatives of all queries; item 0 is ignored, and expected counts
      have no gradient.
    weight: weights of the queries.
    temperature: softmax temperature, > 0.
    config: the objective, and how losses of several positives become one.
    block: negatives that are scored at a time; 0 chooses a number
      automatically. With several blocks, the gradient scores each of them
      again.
    chunk: queries that are scored at a time; 0 chooses a size automatically. At
      most chunk x block logits are held.

  Returns:
    The weighted sum of the queries' losses in nats, float32. A query without a
    positive has a loss of 0. The gradient with respect to the weights is the
    loss of each query.
  """
  query = jnp.asarray(query) / temperature
  targets = jax.tree.map(jnp.asarray, targets)
  negatives = jax.tree.map(jnp.asarray, negatives)
  weight = jnp.asarray(weight)
  if not block:
    block = TPU_BLOCK if jax.default_backend() == "tpu" else BLOCK
  block = min(block, len(negatives.item))
  length, per_query, log_weight = query.shape[1], block, None
  if positives.objective(config.objective).trained == "all":
    log_weight = _log_weights(targets.item, negatives)
    per_query += targets.item.shape[1]
  else:
    targets = _single(targets, config)
  return chunking.sum_rows(
    functools.partial(_weighted_sum, config, block),
    ((query, targets.vector, weight), negatives.vector),
    ((targets, log_weight), negatives),
    per_row=length * per_query,
    limit=chunk * per_query,
  )


def _weighted_sum(
  config: config_lib.Loss, block: int, learned: tuple, fixed: tuple
) -> Float[Array, ""]:
  """Returns the weighted sum of the losses of a few rows.

  Args:
    config: how losses of several positives become one.
    block: negatives that are scored at a time.
    learned: queries, divided by the temperature, the vectors of their targets,
      and their weights; and the vectors of the negatives.
    fixed: the targets, and the log of the weight of each target among the
      negatives; and the negatives. Without weights, each query has one
      positive. All vectors in it are ignored.
  """
  (query, vector, weight), negative = learned
  (targets, log_weight), negatives = fixed
  targets = targets._replace(vector=vector)
  negatives = negatives._replace(vector=negative)
  if log_weight is None:
    score = jnp.sum(query * targets.vector, -1) - targets.bias
    rest = _log_sum(query, targets.item[..., None], negatives, block)
    losses = jnp.where(targets.item > 0, jax.nn.softplus(rest - score), 0.0)
  else:
    rest = _log_sum(query, targets.item[:, None], negatives, block)
    losses = _several(config, query, targets, log_weight, rest)
  return jnp.sum(losses * weight)


def _several(
  config: config_lib.Loss,
  query: Float[Array, "r q d"],
  targets: Targets,
  log_weight: Float[Array, "r l"],
  rest: Float[Array, "r q"],
) -> Float[Array, "r q"]:
  """Returns the losses of queries with several positives.

  Args:
    config: how losses of several positives become one.
    query: unit-norm predictions, divided by the temperature.
    targets: targets of the same rows.
    log_weight: log of the weight of each target among the negatives.
    rest: log-sum-exp over all negatives that are not targets of the row.
  """
  score = jnp.einsum("rqd,rld->rql", query, targets.vector)
  negative = jnp.where(
    _positive_item(targets), LOWEST, score + log_weight[:, None]
  )
  rest = jnp.logaddexp(rest, jax.nn.logsumexp(negative, -1))
  # LOWEST in place of -inf keeps every gradient finite.
  score = jnp.where(targets.positive, score - targets.bias[:, None], LOWEST)
  losses = jax.nn.softplus(rest[..., None] - score)
  return _reduce(losses, targets.positive, config)


def _single(targets: Targets, config: config_lib.Loss) -> Targets:
  """Returns the single positive of each query; item 0 is none."""
  vector, item, positive, bias = targets
  if positives.objective(config.objective).trained == "one":
    place = jnp.argmax(positive, -1)
    rows = jnp.arange(len(place))[:, None]
    vector, item, bias = (x[rows, place] for x in (vector, item, bias))
  some = jnp.any(positive, -1)
  return Targets(vector, jnp.where(some, item, 0), some, bias)


def _log_weights(
  item: Int[AnyArray, "b l"], negatives: Negatives
) -> Float[Array, "b l"]:
  """Returns the log of the weight that a row's items have among the negatives.

  If an item occurs several times in a row, its first place has the weight.
  """
  before = jnp.tri(item.shape[1], k=-1, dtype=bool)
  later = jnp.any((item[:, :, None] == item[:, None, :]) & before, -1)
  weight = jnp.exp(-negatives.log_expected)
  same = item[..., None] == negatives.item
  total = jnp.sum(jnp.where(same, weight, 0.0), -1)
  some = (total > 0) & ~later & (item > 0)
  return jnp.where(some, jnp.log(jnp.where(some, total, 1.0)), LOWEST)


def _positive_item(targets: Targets) -> Bool[Array, "b q l"]:
  """Returns which places hold an item that is a positive at some place."""
  same = targets.item[:, :, None] == targets.item[:, None, :]
  positive = targets.positive.astype(jnp.float32)
  return jnp.matmul(positive, same.astype(jnp.float32)) > 0


def _logits(
  query: Float[Array, "r q d"], hidden: Int[Array, "r #q k"], block: Negatives
) -> Float[Array, "r q n"]:
  """Returns the corrected scores of negatives, -inf for hidden items."""
  logits = jnp.einsum("rqd,nd->rqn", query, block.vector) - block.log_expected
  left_out = jnp.any(hidden[..., None] == block.item, -2) | (block.item == 0)
  return jnp.where(left_out, -jnp.inf, logits)


def _log_sum(
  query: Float[Array, "r q d"],
  hidden: Int[Array, "r #q k"],
  negatives: Negatives,
  block: int,
) -> Float[Array, "r q"]:
  """Returns the log-sum-exp over all negatives except hidden items."""

  def _add(
    carry: tuple[Float[Array, "r q"], Float[Array, "r q"]], block: Negatives
  ):
    top, total = carry
    logits = _logits(query, hidden, block)
    # The result does not depend on the number that is subtracted.
    higher = jax.lax.stop_gradient(jnp.maximum(top, jnp.max(logits, -1)))
    rest = jnp.sum(jnp.exp(logits - higher[..., None]), -1)
    return (higher, total * jnp.exp(top - higher) + rest), None

  start = jnp.full(query.shape[:2], LOWEST), jnp.zeros(query.shape[:2])
  if block == len(negatives.item):
    (top, total), _ = _add(start, negatives)
  else:
    blocks = _blocks(negatives, block)
    (top, total), _ = jax.lax.scan(jax.checkpoint(_add), start, blocks)
  return jnp.log(jnp.maximum(total, TINY)) + top


def _blocks(negatives: Negatives, size: int) -> Negatives:
  """Splits negatives into blocks; item 0 pads the last one."""
  pad = -len(negatives.item) % size

  def _split(x: Shaped[AnyArray, "n ..."]) -> Shaped[Array, "_ _ ..."]:
    x = jnp.pad(x, [(0, pad)] + [(0, 0)] * (x.ndim - 1))
    return x.reshape(-1, size, *x.shape[1:])

  return jax.tree.map(_split, negatives)


def _reduce(
  losses: Float[Array, "*b l"],
  positive: Bool[AnyArray, "*b l"],
  config: config_lib.Loss,
) -> Float[Array, "*b"]:
  """Returns one loss per query from the losses of its positives; 0 for none.

  The paper takes the minimum (arXiv 2504.10507, intra-feed relaxation). The
  soft minimum is -s log mean exp(-loss / s).
  """
  count = jnp.maximum(jnp.sum(positive, -1), 1)
  if config.multi_positive == "mean":
    return jnp.sum(jnp.where(positive, losses, 0.0), -1) / count
  least = jnp.min(jnp.where(positive, losses, jnp.inf), -1)
  least = jnp.where(jnp.isfinite(least), least, 0.0)
  if config.multi_positive == "min":
    return least
  relative = jnp.exp((least[..., None] - losses) / SOFTNESS)
  mean = jnp.sum(jnp.where(positive, relative, 0.0), -1) / count
  return least - SOFTNESS * jnp.log(jnp.where(mean > 0, mean, 1.0))
