import functools

import jax
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import pipeline
from pinrec_jax.losses import objectives
from pinrec_jax.model import pinrec
from pinrec_jax.training import examples
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

GOLDEN = 8.830492


@pytest.fixture(scope="module")
def parts(world):
  config = config_lib.Config(
    model=config_lib.Model(width=16, heads=2, dim=8, rows=64),
    loss=config_lib.Loss(in_batch=32, uniform=16, chunk=64),
  )
  config.data.length, config.train.warmup = 8, 1
  rows, corpus = examples.packed(config, world)
  corpus = jax.tree.map(jax.numpy.asarray, corpus)
  model = pinrec.of_config(config, world.vocabulary)
  transform = state_lib.optimizer(config.train)
  step = functools.partial(
    step_lib.train_step,
    model=model,
    transform=transform,
    config=config.loss,
    seed=3,
  )
  batch = next(pipeline.batches(rows, batch=8, seed=0))
  return step, functools.partial(
    state_lib.create, model, transform, config.loss
  ), (
    batch, corpus, model, config,
  )  # fmt: skip


def test_a_step_is_a_function_of_state_and_batch(parts):
  step, create, (batch, corpus, *_) = parts
  (one, a), (two, b) = (step(create(0), batch, corpus) for _ in range(2))
  jax.tree.map(np.testing.assert_array_equal, (one, a), (two, b))
  assert int(one.step) == 1
  _, later = step(one, batch, corpus)
  assert later["loss"] != a["loss"]  # other draws, other dropout


def test_the_loss_falls(parts):
  step, create, (batch, corpus, *_) = parts
  state, losses = create(0), []
  for _ in range(40):
    state, metrics = step(state, batch, corpus)
    losses.append(float(metrics["loss"]))
  assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_positions_without_a_target_teach_nothing(parts):
  _, create, (batch, corpus, model, config) = parts
  params = create(0).params
  blank = batch.targets.item.copy()
  blank[:, ::2] = 0

  @jax.jit
  @jax.grad
  def gradient(params, surface):
    targets = batch.targets._replace(item=blank, surface=surface)
    return objectives.loss(
      model,
      params,
      batch._replace(targets=targets),
      corpus,
      None,
      jax.random.key(0),
      config.loss,
    )[0]

  # What a position without a target is conditioned on cannot matter.
  surface = np.where(blank == 0, 1, batch.targets.surface)
  other = np.where(blank == 0, 2, batch.targets.surface)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-7),
    gradient(params, surface),
    gradient(params, other),
  )


def test_golden_step(parts):
  step, create, (batch, corpus, *_) = parts
  _, metrics = step(create(0), batch, corpus)
  np.testing.assert_allclose(
    float(metrics["loss"]),
    GOLDEN,
    rtol=1e-4,
    err_msg="The first loss of a fixed seed has changed. That is right only if "
    "the model, its initial values, the objective or the packing were meant "
    "to change: then say so in CHANGELOG.md and write the new value here.",
  )
