"""The training loss: positives, conditions and negatives of one batch."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from pinrec_jax import config as config_lib
from pinrec_jax import sharding
from pinrec_jax.data import schema
from pinrec_jax.losses import (
  conditions,
  negative_sampling,
  positives,
  softmax,
)
from pinrec_jax.model import head, item_embedder, pinrec
from pinrec_jax.types import AnyArray, Params

Features = Callable[[Int[AnyArray, "*n"]], item_embedder.ItemFeatures]


class Corpus(NamedTuple):
  """Features of all items, and their frequencies in the training data."""

  features: item_embedder.ItemFeatures
  frequencies: negative_sampling.Frequencies


def loss(
  model: pinrec.PinRec,
  params: Params,
  batch: schema.Batch,
  corpus: Corpus,
  key: PRNGKeyArray,
  config: config_lib.Loss,
  features: Features | None = None,
) -> tuple[Float[Array, ""], dict[str, Array]]:
  """Returns the mean loss over all queries that have a positive, in nats.

  Args:
    model: the model to train.
    params: its parameters.
    batch: rows of packed histories.
    corpus: features and frequencies of all items.
    key: random key of all draws of the step, and of dropout.
    config: the objective and its negatives.
    features: returns the features of items; by default those of the corpus.
  """
  condition_key, _, dropout_key = jax.random.split(key, 3)
  tokens, targets = batch
  bound = model.bind({"params": params}, rngs={"dropout": dropout_key})
  condition, positive, weight = _queries(bound, batch, condition_key, config)
  negatives, target_expected = _negatives(batch, corpus, key, config)

  read = tokens.item.size + targets.item.size + negatives.item.size
  embed = _embedder(bound, corpus, read, features)
  # One call for both, so that their gradients are reduced over devices once.
  vectors, target = jnp.split(
    embed(jnp.concatenate([tokens.item, targets.item], -1)), 2, -2
  )
  states, _ = bound.states(vectors, tokens, train=True)
  states = jnp.tile(states, (1, positive.shape[1] // positive.shape[2], 1))
  bias = jnp.zeros(targets.item.shape)
  if config.logq == "classic":
    bias = target_expected.reshape(targets.item.shape)
  temperature = bound.softmax_temperature()
  # Every device scores all negatives, so each gets them once.
  negative = sharding.copied(embed(negatives.item))
  total = softmax.sampled_softmax(
    bound.queries(states, condition),
    softmax.Targets(target, targets.item, positive, bias),
    softmax.Negatives(negative, negatives.item, negatives.log_expected),
    weight,
    temperature=temperature,
    config=config,
  )
  mean = total / jnp.maximum(jnp.sum(weight), 1)
  counted = jnp.sum(weight > 0)
  return mean, {"loss": mean, "temperature": temperature, "targets": counted}


def items_read(
  batch: schema.Batch,
  corpus: Corpus,
  key: PRNGKeyArray,
  config: config_lib.Loss,
) -> tuple[Int[AnyArray, "b l"], Int[AnyArray, "b l"], Int[Array, "n"]]:
  """Returns the items whose vectors `loss` reads; items may repeat.

  These are the items of the tokens, those of the targets, and the negatives.
  """
  negatives, _ = _negatives(batch, corpus, key, config)
  return batch.tokens.item, batch.targets.item, negatives.item


def _queries(
  bound: pinrec.PinRec,
  batch: schema.Batch,
  key: PRNGKeyArray,
  config: config_lib.Loss,
) -> tuple[head.Condition, Bool[Array, "b q l"], Float[Array, "b q"]]:
  """Returns the condition, the positives and the loss weight of each query.

  A query without a positive has weight 0.
  """
  objective = positives.objective(config.objective)
  targets = positives.later_targets(batch, bound.bucket, bound.buckets)
  bucket_key = jax.random.fold_in(key, 1)
  positive = objective.positives(bucket_key, targets, config)
  weight = jnp.any(positive, -1).astype(jnp.float32)
  age = bound.age_bucket(batch.targets.age)
  sampled = conditions.sample(key, batch, targets.bucket, age, positive, config)
  if bound.config.conditioned:
    return sampled.condition, sampled.positive, weight * sampled.weight
  # Without conditions, all positives remain.
  if objective.trained == "all":
    return sampled.condition, positive, weight
  return sampled.condition, sampled.positive, weight


def _negatives(
  batch: schema.Batch,
  corpus: Corpus,
  key: PRNGKeyArray,
  config: config_lib.Loss,
) -> tuple[negative_sampling.Negatives, Float[Array, "_"]]:
  """Returns the step's negatives and the log expected count of each target."""
  return negative_sampling.draw(
    jax.random.split(key, 3)[1],
    batch.targets.item.reshape(-1),
    batch.targets.shown.reshape(-1),
    corpus.frequencies,
    config,
  )


def _embedder(
  bound: pinrec.PinRec, corpus: Corpus, read: int, features: Features | None
) -> Callable[[Int[AnyArray, "*n"]], Float[Array, "*n d"]]:
  """Returns a function from items to vectors.

  If a step reads more vectors than there are items, each item is embedded once.

  Args:
    bound: the model, bound to its parameters.
    corpus: features of all items.
    read: number of item vectors that the step reads, over all devices.
    features: as in `loss`.
  """
  once = len(corpus.features.rows) * sharding.row_ways() <= read
  if features is None and once and not bound.config.id_dropout:
    everything = bound.embed(corpus.features, train=True)
    return lambda item: everything[item]
  take = features or corpus.features.take
  return lambda item: bound.embed(take(item), train=True)
