import functools
from typing import Any

import jax
import numpy as np
import optax
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import pipeline
from pinrec_jax.losses import objectives
from pinrec_jax.model import pinrec
from pinrec_jax.training import optimizer, training_data
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

GOLDEN = 10.421016


@pytest.fixture(scope="module")
def parts(world):
  config = config_lib.Config(
    model=config_lib.Model(
      hidden_dim=16, num_heads=2, embedding_dim=8, table_size=64
    ),
    loss=config_lib.Loss(in_batch_negatives=32, uniform_negatives=16),
  )
  config.data.sequence_length, config.train.warmup_steps = 8, 1
  rows, corpus = training_data.packed(config, world)
  corpus = jax.tree.map(jax.numpy.asarray, corpus)
  model = pinrec.of_config(config, world.vocabulary)
  transform = optimizer.build(config.train)
  step = functools.partial(
    step_lib.train_step,
    rate=np.float32(0.01),
    model=model,
    transform=transform,
    config=config.loss,
    seed=3,
  )
  batch = next(pipeline.batches(rows, batch=8, seed=0))

  def create(seed, transform=transform):
    return state_lib.create(model, transform, seed)

  return step, create, (batch, corpus, model, config)


def test_a_step_is_a_function_of_its_state_and_batch(parts):
  step, create, (batch, corpus, *_) = parts
  (one, a), (two, b) = (step(create(0), batch, corpus) for _ in range(2))
  jax.tree.map(np.testing.assert_array_equal, (one, a), (two, b))
  assert int(one.step) == 1
  _, later = step(one, batch, corpus)
  assert later["loss"] != a["loss"]  # Other draws and other dropout.


def test_the_loss_falls(parts):
  step, create, (batch, corpus, *_) = parts
  state, losses = create(0), []
  for _ in range(40):
    state, metrics = step(state, batch, corpus)
    losses.append(float(metrics["loss"]))
  assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


@pytest.mark.parametrize("rows_only", [False, True])
def test_parts_of_a_batch_are_weighted_by_their_targets(parts, rows_only):
  step, create, (batch, corpus, model, config) = parts
  transform = optax.sgd(1.0)  # So that the step is the gradient.
  batch = jax.tree.map(np.copy, batch)
  batch.targets.item[::2, 3:] = 0  # The first part has fewer targets.
  state = create(0, transform=transform)._replace(step=jax.numpy.asarray(5))
  before = jax.tree.map(np.array, state.params)
  after, metrics = step(
    state, batch, corpus, rate=np.float32(1.0), transform=transform,
    parts=2, rows_only=rows_only,
  )  # fmt: skip

  keys = jax.random.split(jax.random.fold_in(jax.random.key(3), 5), 2)

  @jax.jit
  @functools.partial(jax.grad, has_aux=True)
  def gradient(params, part, key):
    return objectives.loss(model, params, part, corpus, key, config.loss)

  found = [
    gradient(before, jax.tree.map(lambda x, n=n: x[n::2], batch), keys[n])
    for n in range(2)
  ]
  counts = [float(own["targets"]) for _, own in found]
  assert counts[0] < counts[1]
  assert float(metrics["targets"]) == sum(counts)
  weight = np.array(counts) / sum(counts)
  mean = sum(
    w * float(own["loss"]) for w, (_, own) in zip(weight, found, strict=True)
  )
  np.testing.assert_allclose(float(metrics["loss"]), mean, rtol=1e-5)
  jax.tree.map(
    lambda a, b, one, two: np.testing.assert_allclose(
      b - a, -weight[0] * one - weight[1] * two, atol=1e-5
    ),
    before,
    after.params,
    *(gradient for gradient, _ in found),
  )


def test_parts_need_less_memory(parts):
  step, create, (batch, corpus, *_) = parts
  many = jax.tree.map(lambda x: np.repeat(x, 16, 0), batch)

  def taken(n):
    lowered = jax.jit(functools.partial(step, parts=n)).lower(
      create(0), many, corpus
    )
    memory: Any = lowered.compile().memory_analysis()
    return memory.temp_size_in_bytes

  assert taken(8) < taken(1) / 4


def test_positions_without_a_target_train_nothing(parts):
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
      jax.random.key(0),
      config.loss,
    )[0]

  # The surface of a missing target cannot matter.
  surface = np.where(blank == 0, 1, batch.targets.surface)
  other = np.where(blank == 0, 2, batch.targets.surface)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-7),
    gradient(params, surface),
    gradient(params, other),
  )


def test_trainings_of_different_lengths_share_a_program(parts):
  step, create, (batch, corpus, *_) = parts

  def program(**train):
    config = config_lib.Train(**train)
    transform = optimizer.build(config)
    rate = optimizer.learning_rates(config)[-1]
    given = step.keywords | {"rate": rate, "transform": transform}
    return step.func.lower(create(0), batch, corpus, **given).as_text()

  one = program(steps=10, warmup_steps=2, learning_rate=0.1)
  assert one == program(steps=99, warmup_steps=7, learning_rate=0.3)


def test_golden_step(parts):
  step, create, (batch, corpus, *_) = parts
  _, metrics = step(create(0), batch, corpus)
  np.testing.assert_allclose(
    float(metrics["loss"]),
    GOLDEN,
    rtol=1e-4,
    err_msg="The first loss of a fixed seed has changed. This is right only if "
    "you meant to change the model, its initial values, the objective or the "
    "packing. Then say so in CHANGELOG.md and write the new value here.",
  )
