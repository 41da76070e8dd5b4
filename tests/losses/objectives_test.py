import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pinrec_jax.losses import (
  conditions,
  negative_sampling,
  objectives,
  positives,
)
from pinrec_jax.model import pinrec
from pinrec_jax.training import state as state_lib


def _model(config, world):
  model = pinrec.of_config(config, world.vocabulary)
  return model, state_lib.create(model, optax.identity()).params


def _reference(model, params, batch, corpus, config, key):
  """The loss in float64, one query and one positive at a time."""
  condition_key, negative_key, _ = jax.random.split(key, 3)
  tokens, targets = batch
  bound = model.bind({"params": params})
  later = positives.later_targets(batch, bound.bucket, bound.buckets)
  objective = positives.objective(config.objective)
  positive = objective.positives(
    jax.random.fold_in(condition_key, 1), later, config
  )
  sampled = conditions.sample(
    condition_key, batch, later.bucket, bound.age_bucket(targets.age),
    positive, config,
  )  # fmt: skip
  weight = np.ones(positive.shape[:2])
  if model.config.conditioned:
    positive, weight = sampled.positive, np.asarray(sampled.weight, float)
  negatives, expected = negative_sampling.draw(
    negative_key, targets.item.reshape(-1), targets.shown.reshape(-1),
    corpus.frequencies, config,
  )  # fmt: skip
  states, _ = bound.states(
    bound.embed(corpus.features.take(tokens.item)), tokens
  )
  per_position = positive.shape[1] // positive.shape[2]
  query = bound.queries(
    jnp.tile(states, (1, per_position, 1)), sampled.condition
  )
  query, item = (
    np.asarray(x, np.float64) for x in (query, bound.embed(corpus.features))
  )
  positive = np.asarray(positive)
  expected = np.asarray(expected, np.float64).reshape(targets.item.shape)
  temperature = float(bound.softmax_temperature())
  losses, weights = [], []
  for row, q in np.argwhere(positive.any(-1)):
    places = np.flatnonzero(positive[row, q])
    hidden = {0, *(int(targets.item[row, place]) for place in places)}
    rest = 0.0
    for n, log_expected in zip(
      negatives.item.tolist(), negatives.log_expected.tolist(), strict=True
    ):
      if n not in hidden:
        bias = 0 if config.logq == "none" else log_expected
        rest += np.exp(query[row, q] @ item[n] / temperature - bias)
    weights.append(weight[row, q])
    each = []
    for place in places:
      score = query[row, q] @ item[targets.item[row, place]] / temperature
      if config.logq == "classic":
        score -= expected[row, place]
      each.append(np.log(np.exp(score) + rest) - score)
    losses.append(
      {
        "mean": np.mean(each),
        "min": np.min(each),
        "softmin": -0.5 * np.log(np.mean(np.exp(-np.array(each) / 0.5))),
      }[config.multi_positive]
    )
  return np.average(losses, weights=weights)


@pytest.mark.parametrize(
  "loss",
  [
    {"objective": "next_item"},
    {"objective": "next_item", "logq": "classic"},
    {"objective": "next_item", "logq": "none", "impression_negatives": 7},
    {"objective": "next_item", "full_softmax": True},
    {"objective": "dense", "impression_negatives": 7},
    {"objective": "windowed", "multi_positive": "mean"},
    {"objective": "windowed", "multi_positive": "softmin"},
    {"objective": "session", "multi_positive": "min"},
    {"objective": "multi_token", "multi_positive": "min", "logq": "classic"},
    {"objective": "multi_token", "multi_positive": "softmin"},
    # An unconditioned model keeps all positives.
    {"objective": "windowed", "multi_positive": "mean", "conditioned": False},
  ],
  ids=lambda loss: "-".join(map(str, loss.values())),
)
def test_the_loss_equals_its_definition_in_float64(
  world, batch, configured, loss
):
  batch, corpus = batch
  conditioned = loss.get("conditioned", True)
  config = configured(**{k: v for k, v in loss.items() if k != "conditioned"})
  config.model.dropout, config.model.conditioned = 0.0, conditioned
  model, params = _model(config, world)
  key = jax.random.key(5)

  @jax.jit
  @functools.partial(jax.value_and_grad, has_aux=True)
  def value(params):
    return objectives.loss(model, params, batch, corpus, key, config.loss)

  (got, metrics), slope = value(params)
  want = _reference(model, params, batch, corpus, config.loss, key)
  np.testing.assert_allclose(got, want, rtol=2e-5)
  assert metrics["targets"] > 20
  leaves = jax.tree.leaves(slope)
  assert all(np.isfinite(leaf).all() for leaf in leaves)
  assert any(np.abs(leaf).max() > 1e-4 for leaf in leaves)


@pytest.mark.slow
def test_embedding_each_item_once_gives_the_same_loss(
  world, batch, configured, monkeypatch
):
  """As a step does if it reads more vectors than there are items."""
  monkeypatch.setattr(jax, "device_count", lambda: 1)
  batch, corpus = batch
  config = configured()
  model, params = _model(config, world)
  embedded = []

  class Counting(pinrec.PinRec):
    def embed(self, features, *, train=False):
      embedded.append(features.rows.shape[:-1])
      return super().embed(features, train=train)

  def loss(params, features):
    return objectives.loss(
      Counting(model.config, model.vocabulary, model.positions),
      params, batch, corpus, jax.random.key(5), config.loss, features,
    )[0]  # fmt: skip

  once, each = (
    jax.value_and_grad(loss)(params, features)
    for features in (None, corpus.features.take)
  )
  assert embedded[0] == corpus.frequencies.target.shape
  rows, length = batch.tokens.item.shape
  assert embedded[1] == (rows, 2 * length)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
    once,
    each,
  )
