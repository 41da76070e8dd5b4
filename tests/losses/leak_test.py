"""A target trains the past of its own user, and no other input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import pipeline
from pinrec_jax.losses import objectives
from pinrec_jax.model import backbone, pinrec
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import training_data

ROWS, LENGTH = 3, 24


class Probed(pinrec.PinRec):
  """The model, with zeros added to the item vectors that it reads."""

  def setup(self) -> None:
    super().setup()
    self.probe = self.param(
      "probe",
      lambda _: jnp.zeros((ROWS, LENGTH, self.config.embedding_dim)),
    )

  def states(self, vectors, tokens, cache=None, *, train=False, last=False):
    if vectors.shape[0] == ROWS:
      vectors = vectors + self.probe
    return super().states(vectors, tokens, cache, train=train, last=last)


@pytest.fixture(scope="module")
def packed(world):
  """Rows of several users, the last of them padded."""
  config = config_lib.Config()
  config.data.sequence_length = LENGTH
  rows, corpus = training_data.packed(config, world)
  batch = next(pipeline.batches(rows, batch=len(rows), seed=0))
  segment = batch.tokens.segment
  # Rows with many users, so that the users are short, and with padding.
  chosen = np.argsort(-segment.max(-1) * (segment == 0).any(-1))[:ROWS]
  batch = jax.tree.map(lambda column: column[chosen], batch)
  return batch, jax.tree.map(jnp.asarray, corpus)


def _slopes(batch, corpus, config, vocabulary):
  """Returns |d loss of one target / d vector| for every target: [n b l]."""
  model = pinrec.of_config(config, vocabulary)
  model = Probed(model.config, vocabulary, positions=LENGTH)
  shapes = jax.eval_shape(
    lambda: state_lib.create(model, optax.identity()).params
  )
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda x: jnp.asarray(rng.normal(size=x.shape, scale=0.3), x.dtype), shapes
  )

  def value(probe, place):
    only = jnp.arange(ROWS * LENGTH).reshape(ROWS, LENGTH) == place
    targets = batch.targets._replace(
      item=jnp.where(only, batch.targets.item, 0)
    )
    return objectives.loss(
      model,
      {**params, "probe": probe},
      batch._replace(targets=targets),
      corpus,
      jax.random.key(1),
      config.loss,
    )[0]

  @jax.jit
  def every(probe):
    slope = functools.partial(jax.grad(value), probe)
    return jax.lax.map(slope, jnp.arange(ROWS * LENGTH))

  return np.abs(every(np.zeros_like(params["probe"]))).sum(-1)


@pytest.mark.parametrize(
  ("kind", "objective"),
  [
    *((name, "next_item") for name in backbone.BLOCKS),
    ("transformer", "windowed"),
    ("transformer", "multi_token"),
    ("hstu", "session"),
  ],
)
def test_a_target_trains_the_past_of_its_own_user_alone(
  world, packed, kind, objective
):
  batch, corpus = packed
  tokens, targets = batch
  assert (tokens.segment.max(-1) > 1).all()
  assert (tokens.segment == 0).any(-1).all()
  config = config_lib.Config(
    model=config_lib.Model(
      backbone=kind,
      num_layers=1,
      hidden_dim=16,
      num_heads=2,
      embedding_dim=8,
      table_size=64,
      dropout=0.0,
      offset_edges=(43_201, 100_000),
    ),
    loss=config_lib.Loss(
      objective=objective,
      in_batch_negatives=8,
      uniform_negatives=8,
      window=86_400,
    ),
  )
  config.data.sequence_length = LENGTH
  slope = _slopes(batch, corpus, config, world.vocabulary)
  place = np.arange(LENGTH)
  trained = 0
  for row in range(ROWS):
    segment = tokens.segment[row]
    for at in range(LENGTH):
      found = slope[row * LENGTH + at]
      # A start token has no item vector.
      read = np.zeros((ROWS, LENGTH), bool)
      if targets.item[row, at]:
        assert segment[at]
        read[row] = (segment == segment[at]) & (place <= at)
        read[row] &= tokens.position[row] > 0
      assert (found[~read] == 0).all()
      assert (found[read] > 0).all()
      trained += read.sum()
  assert trained > 100
