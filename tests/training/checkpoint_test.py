import jax
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax import sharding
from pinrec_jax.data import pipeline
from pinrec_jax.model import pinrec
from pinrec_jax.training import checkpoint, optimizer, training_data
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

# Model axis and fsdp axis.
SHAPES = (
  pytest.param((1, 1), marks=pytest.mark.slow),
  pytest.param((8, 1), marks=pytest.mark.slow),
  (1, 8),
  pytest.param((2, 2), marks=pytest.mark.slow),
)


@pytest.fixture(
  scope="module",
  params=[pytest.param("adam", marks=pytest.mark.slow), "adagrad"],
)
def run(world, request):
  """Returns functions to a first state and to a step, and the data."""
  config = config_lib.Config(
    model=config_lib.Model(
      hidden_dim=16, num_heads=2, embedding_dim=8, table_size=64
    ),
    loss=config_lib.Loss(in_batch_negatives=32, uniform_negatives=16),
    train=config_lib.Train(table_optimizer=request.param, warmup_steps=1),
  )
  config.data.sequence_length = 8
  rows, corpus = training_data.packed(config, world)
  model = pinrec.of_config(config, world.vocabulary)
  transform = optimizer.build(config.train)
  data = pipeline.batches(rows, batch=8, seed=0)
  batch = next(data)

  def first(mesh):
    return state_lib.initial(model, transform, mesh, 0)

  def step(mesh, state):
    return step_lib.train_step(
      state, sharding.from_rows(mesh, batch), sharding.from_all(mesh, corpus),
      np.float32(0.01),
      model=model, transform=transform, config=config.loss, seed=0,
      rows_only=request.param != "adam",
    )  # fmt: skip

  return first, step, data


@pytest.mark.parametrize("shape", SHAPES)
def test_a_checkpoint_can_be_restored_on_any_mesh(run, shape, tmp_path):
  first, step, data = run
  written = sharding.device_mesh(2, 4)
  state, _ = step(written, first(written))
  saved = jax.tree.map(np.asarray, state)
  checkpoints = checkpoint.Checkpoints(tmp_path)
  checkpoints.save(1, state, data, {}, {})
  checkpoints.wait()
  mesh = sharding.device_mesh(*shape)
  restored = checkpoints.restore(1, first(mesh), mesh, {})
  checkpoints.close()
  jax.tree.map(np.testing.assert_array_equal, restored, saved)
  wanted = sharding.of_tree(mesh, restored)
  for leaf, layout in zip(
    jax.tree.leaves(restored), jax.tree.leaves(wanted), strict=True
  ):
    assert leaf.sharding.is_equivalent_to(layout, leaf.ndim)
  table = restored.params["item_embedder"]["table_0"]
  held = table.addressable_shards[0].data.shape[0]
  assert held == len(table) // (shape[0] * shape[1])
  _, there = step(written, state)
  _, here = step(mesh, restored)
  np.testing.assert_allclose(here["loss"], there["loss"], atol=1e-5)
