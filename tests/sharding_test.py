import jax
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax import sharding
from pinrec_jax.data import pipeline
from pinrec_jax.model import pinrec
from pinrec_jax.training import examples
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib


def _config() -> config_lib.Config:
  config = config_lib.Config(
    model=config_lib.Model(width=16, heads=2, dim=8, rows=64),
    loss=config_lib.Loss(in_batch=32, uniform=16, chunk=64),
  )
  config.data.length = 8
  config.train.warmup, config.train.learning_rate = 1, 1e-3
  return config


def _losses(world, mesh, steps=4):
  config = _config()
  rows, corpus = examples.packed(config, world)
  data = pipeline.batches(rows, batch=8, seed=0)
  model = pinrec.of_config(config, world.vocabulary)
  transform = state_lib.optimizer(config.train)
  state = state_lib.initial(model, transform, config.loss, mesh, 0)
  corpus = sharding.from_all(mesh, corpus)
  losses = []
  for _ in range(steps):
    state, metrics = step_lib.train_step(
      state,
      sharding.from_rows(mesh, next(data)),
      corpus,
      model=model,
      transform=transform,
      config=config.loss,
      seed=0,
    )
    losses.append(float(metrics["loss"]))
  return losses, state


@pytest.mark.parametrize(("devices", "model"), [(8, 1), (8, 2), (8, 8)])
def test_every_mesh_gives_the_loss_of_one_device(world, devices, model):
  one, _ = _losses(world, sharding.device_mesh(1, jax.devices()[:1]))
  many, state = _losses(
    world, sharding.device_mesh(model, jax.devices()[:devices])
  )
  np.testing.assert_allclose(many, one, atol=1e-5, rtol=0)
  assert one[-1] < one[0]
  table = state.params["item_embedder"]["table_0"]
  moment = state.opt_state[1][0].mu["item_embedder"]["table_0"]
  for array in (table, moment):  # each device holds its rows, no more
    held = array.addressable_shards[0].data.shape[0]
    assert held == array.shape[0] // model


def test_what_does_not_divide_is_named():
  with pytest.raises(ValueError, match=r"model_axis 3 .* the 8 devices"):
    sharding.device_mesh(3)
  mesh = sharding.device_mesh()
  with pytest.raises(ValueError, match="batch 100 does not divide over 8"):
    sharding.check_batch(mesh, 100)
  sharding.check_batch(mesh, 96)


def test_a_table_that_does_not_divide_is_named(world):
  config = _config()
  config.model.rows = 63
  model = pinrec.of_config(config, world.vocabulary)
  with pytest.raises(ValueError, match=r"table_0 .* make 63 a multiple"):
    state_lib.initial(
      model,
      state_lib.optimizer(config.train),
      config.loss,
      sharding.device_mesh(2),
      0,
    )
