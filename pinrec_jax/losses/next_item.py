"""The next-item objective and the conditions it is trained under."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pinrec_jax import config as config_lib
from pinrec_jax.data import histories
from pinrec_jax.losses import sampling, softmax
from pinrec_jax.model import head, items, pinrec
from pinrec_jax.types import AnyArray, Params


class Corpus(NamedTuple):
  """What a step knows of the whole log; the same at every step."""

  features: items.ItemFeatures  # one row an item
  share: Float[AnyArray, "v"]  # of an item among the training targets
  outcome_share: Float[AnyArray, "o"]  # of an outcome among their actions


def conditions(
  key: PRNGKeyArray,
  targets: histories.Targets,
  bucket: Int[Array, "b l"],
  outcome_share: Float[AnyArray, "o"],
  config: config_lib.Loss,
) -> head.Condition:
  """Draws the condition each position is trained under.

  The true surface and offset of the target and one of its outcomes
  (arXiv 2504.10507, conditions at training), each left unspecified at the
  configured rate so that a request may leave them out.
  """
  outcome_key, *drop_keys = jax.random.split(key, 4)
  weight = outcome_share**-config.rare_outcomes
  logits = jnp.where(targets.outcomes > 0, jnp.log(weight), -jnp.inf)
  drawn = 1 + jax.random.categorical(outcome_key, logits)
  outcome = jnp.where(jnp.any(targets.outcomes > 0, -1), drawn, 0)
  keep = [
    jax.random.bernoulli(k, 1 - config.condition_drop, bucket.shape)
    for k in drop_keys
  ]
  full = head.Condition(outcome, targets.surface, bucket)
  return head.Condition(
    *(jnp.where(k, part, 0) for k, part in zip(keep, full, strict=True))
  )


def next_item(
  model: pinrec.PinRec,
  params: Params,
  batch: histories.Batch,
  corpus: Corpus,
  key: PRNGKeyArray,
  config: config_lib.Loss,
) -> tuple[Float[Array, ""], dict[str, Array]]:
  """Returns the mean loss over the positions that have a target, in nats."""
  condition_key, negative_key, dropout_key = jax.random.split(key, 3)
  tokens, targets = batch

  def forward(module: pinrec.PinRec, negatives: sampling.Negatives):
    vectors = module.embed(corpus.features.take(tokens.item))
    states, _ = module.states(vectors, tokens, train=True)
    condition = conditions(
      condition_key,
      targets,
      module.bucket(targets.gap),
      corpus.outcome_share,
      config,
    )
    return (
      module.queries(states, condition),
      module.embed(corpus.features.take(targets.item)),
      module.embed(corpus.features.take(negatives.item)),
      module.temperatures(),
    )

  target = targets.item.reshape(-1)
  negatives = sampling.mixed(
    negative_key,
    target,
    corpus.share,
    in_batch=config.in_batch,
    uniform=config.uniform,
  )
  query, positive, negative, temperature = forward(
    model.bind({"params": params}, rngs={"dropout": dropout_key}), negatives
  )
  if not config.learned_temperature:
    temperature = jax.lax.stop_gradient(temperature)
  losses = softmax.sampled_softmax(
    query.reshape(-1, query.shape[-1]),
    positive.reshape(-1, positive.shape[-1]),
    negative,
    target,
    negatives.item,
    negatives.log_expected,
    temperature=temperature,
    chunk=config.chunk,
  )
  weight = (target > 0).astype(losses.dtype)
  count = jnp.maximum(jnp.sum(weight), 1)
  loss = jnp.sum(losses * weight) / count
  return loss, {"loss": loss, "temperature": temperature, "targets": count}
