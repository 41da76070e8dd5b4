"""Conditions of training queries, sampled from their positives."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from pinrec_jax import config as config_lib
from pinrec_jax.data import schema
from pinrec_jax.losses import positives
from pinrec_jax.model import head

DROPOUT = 0.2  # Probability of leaving a part of a condition unspecified.


class SampledConditions(NamedTuple):
  """Conditions of the queries of a batch, with their positives and weights.

  Attributes:
    condition: one condition per query.
    positive: targets of the row that are positives and satisfy the condition.
    weight: weight of the query's loss; 1 on average.
  """

  condition: head.Condition
  positive: Bool[Array, "b q l"]
  weight: Float[Array, "b q"]


def sample(
  key: PRNGKeyArray,
  batch: schema.Batch,
  bucket: Int[Array, "b l l"],
  age: Int[Array, "b l"],
  positive: Bool[Array, "b q l"],
  config: config_lib.Loss,
) -> SampledConditions:
  """Samples the condition of each query and keeps the matching positives.

  One positive of the query is drawn uniformly. The condition is one of its
  outcomes, its surface, item type, age and time offset (arXiv 2504.10507,
  conditions in training). Each part is dropped with probability `DROPOUT`, so
  that a request may leave it out. If an objective has several queries per
  position, the first queries never have an offset, and all others always have
  one.

  A target with several outcomes is trained under one sampled outcome and
  weighted by the number of its outcomes. Each outcome is then learned from all
  of its targets alike, whatever other outcomes they have.

  Args:
    key: random key of the draws.
    batch: rows of packed histories.
    bucket: bucket of the time from each token to each target; 0 is unknown.
    age: bucket of each target's age; 0 is unknown.
    positive: positive mask of the queries.
    config: says the objective.
  """
  target_key, outcome_key, *drop_keys = jax.random.split(key, 7)
  targets = jax.tree.map(jnp.asarray, batch.targets)
  per_position = positive.shape[1] // positive.shape[2]
  bucket = jnp.tile(bucket, (1, per_position, 1))
  trained = positives.objective(config.objective).trained
  if trained == "following":
    chosen = jnp.broadcast_to(jnp.arange(positive.shape[2]), positive.shape[:2])
  else:
    chosen = positives.draw_one(target_key, positive)
  full, number = _describe(outcome_key, targets, bucket, age, chosen)
  keep = head.Condition(
    *(jax.random.bernoulli(k, 1 - DROPOUT, chosen.shape) for k in drop_keys)
  )
  if per_position > 1:
    beyond_first = jnp.arange(positive.shape[1]) >= positive.shape[2]
    keep = keep._replace(offset=jnp.broadcast_to(beyond_first, chosen.shape))
  condition = jax.tree.map(lambda part, k: jnp.where(k, part, 0), full, keep)
  if trained == "all":
    positive = positive & _satisfies(condition, targets, bucket, age)
  else:
    positive = positive & jax.nn.one_hot(chosen, positive.shape[-1], dtype=bool)
  weighted = (condition.outcome > 0) & jnp.any(positive, -1)
  mean = jnp.sum(number * weighted) / jnp.maximum(jnp.sum(weighted), 1)
  weight = jnp.where(weighted, number / mean, 1.0)
  return SampledConditions(condition, positive, weight)


def _describe(
  key: PRNGKeyArray,
  targets: schema.Targets,
  bucket: Int[Array, "b q l"],
  age: Int[Array, "b l"],
  chosen: Int[Array, "b q"],
) -> tuple[head.Condition, Float[Array, "b q"]]:
  """Returns the condition of chosen targets, and their numbers of outcomes."""
  rows = jnp.arange(chosen.shape[0])[:, None]
  target = jax.tree.map(lambda column: column[rows, chosen], targets)
  has_outcome = target.outcomes > 0
  outcome = 1 + jax.random.categorical(
    key, jnp.where(has_outcome, 0.0, -jnp.inf)
  )
  offset = 1 + jnp.take_along_axis(bucket, chosen[..., None], -1)[..., 0]
  condition = head.Condition(
    outcome=jnp.where(jnp.any(has_outcome, -1), outcome, 0),
    surface=target.surface + 1,
    offset=offset,
    item_type=target.item_type + 1,
    age=age[rows, chosen] + 1,
  )
  return condition, jnp.sum(has_outcome, -1).astype(jnp.float32)


def _satisfies(
  condition: head.Condition,
  targets: schema.Targets,
  bucket: Int[Array, "b q l"],
  age: Int[Array, "b l"],
) -> Bool[Array, "b q l"]:
  """Returns which targets of its row satisfy each query's condition."""
  rows = jnp.arange(bucket.shape[0])[:, None]
  wanted = jnp.maximum(condition.outcome - 1, 0)
  has_outcome = jnp.swapaxes(targets.outcomes, 1, 2)[rows, wanted] > 0
  found = (condition.outcome == 0)[..., None] | has_outcome
  for part, value in (
    (condition.surface, targets.surface[:, None]),
    (condition.offset, bucket),
    (condition.item_type, targets.item_type[:, None]),
    (condition.age, age[:, None]),
  ):
    found &= (part == 0)[..., None] | (part[..., None] == value + 1)
  return found
