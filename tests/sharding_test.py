import os
import subprocess
import sys
import types
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinrec_jax import chunking, sharding
from pinrec_jax import config as config_lib
from pinrec_jax.data import pipeline
from pinrec_jax.model import backbone, pinrec
from pinrec_jax.training import optimizer, training_data
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib


def _config(**model) -> config_lib.Config:
  config = config_lib.Config(
    model=config_lib.Model(
      hidden_dim=16, num_heads=2, embedding_dim=8, table_size=64, **model
    ),
    loss=config_lib.Loss(in_batch_negatives=32, uniform_negatives=16),
  )
  config.data.sequence_length = 8
  config.train.warmup_steps, config.train.learning_rate = 1, 1e-3
  return config


def _losses(world, mesh, parts=1, **model):
  config = _config(**model)
  rows, corpus = training_data.packed(config, world)
  data = pipeline.batches(rows, batch=8, seed=0)
  model = pinrec.of_config(config, world.vocabulary)
  transform = optimizer.build(config.train)
  state = state_lib.initial(model, transform, mesh, 0)
  corpus = sharding.from_all(mesh, corpus)
  losses = []
  for rate in optimizer.learning_rates(config.train)[:4]:
    batch = sharding.from_rows(mesh, next(data))
    with jax.set_mesh(mesh):
      state, metrics = step_lib.train_step(
        state,
        batch,
        corpus,
        rate,
        model=model,
        transform=transform,
        config=config.loss,
        seed=0,
        parts=parts,
      )
    losses.append(float(metrics["loss"]))
  return losses, state


@pytest.fixture(scope="module")
def one_device(world):
  mesh = sharding.device_mesh(devices=jax.devices()[:1])
  return _losses(world, mesh)[0]


@pytest.mark.parametrize(
  ("model", "fsdp"),
  [
    pytest.param(1, 1, marks=pytest.mark.slow),
    pytest.param(8, 1, marks=pytest.mark.slow),
    pytest.param(1, 8, marks=pytest.mark.slow),
    (2, 2),
  ],
)
def test_every_mesh_gives_the_loss_of_one_device(
  world, one_device, model, fsdp
):
  many, state = _losses(world, sharding.device_mesh(model, fsdp))
  np.testing.assert_allclose(many, one_device, atol=1e-5, rtol=0)
  assert many[-1] < many[0]
  table = state.params["item_embedder"]["table_0"]
  moments = state.opt_state[1][0].mu
  for array in (table, moments["item_embedder"]["table_0"]):
    held = array.addressable_shards[0].data.shape[0]
    assert held == array.shape[0] // (model * fsdp)  # Its own rows alone.
  for tree in (state.params, moments):
    kernel = tree["item_embedder"]["hidden"]["kernel"]
    held = kernel.addressable_shards[0].data.shape[0]
    ways = fsdp if kernel.shape[0] % fsdp == 0 else 1
    assert held == kernel.shape[0] // ways


@pytest.mark.parametrize(("model", "fsdp"), [(8, 1), (1, 8), (2, 2)])
def test_rows_of_a_split_table_are_found_where_they_are(model, fsdp):
  """No device gets the whole table, and its gradient stays split."""
  mesh = sharding.device_mesh(model, fsdp)
  rng = np.random.default_rng(0)
  table = rng.normal(size=(4096, 4)).astype(np.float32)
  index, slope = rng.integers(4096, size=(8, 3)), rng.normal(size=(8, 3, 4))
  layout = sharding.of_tree(mesh, {"item_embedder": {"table_0": table}})
  split = jax.device_put(table, layout["item_embedder"]["table_0"])

  @jax.jit
  def both(table, index):
    found, back = jax.vjp(lambda t: sharding.look_up(t, index), table)
    return found, back(jnp.asarray(slope, jnp.float32))[0]

  with jax.set_mesh(mesh):
    program = both.lower(split, sharding.from_rows(mesh, index)).compile()
    found, gradient = both(split, sharding.from_rows(mesh, index))
  np.testing.assert_array_equal(found, table[index])
  want = np.zeros_like(table)
  np.add.at(want, index, slope)
  np.testing.assert_allclose(gradient, want, rtol=1e-5, atol=1e-6)
  assert gradient.addressable_shards[0].data.shape == (4096 // model // fsdp, 4)
  text = program.as_text() or ""
  assert "[4096,4]" not in text


@pytest.mark.parametrize(
  ("model", "fsdp"), [(1, 1), pytest.param(2, 2, marks=pytest.mark.slow)]
)
def test_computing_row_by_row_gives_the_same_loss(
  world, one_device, model, fsdp, monkeypatch
):
  jax.clear_caches()
  monkeypatch.setitem(chunking.LIMITS, "cpu", 1)
  many, _ = _losses(world, sharding.device_mesh(model, fsdp))
  jax.clear_caches()
  np.testing.assert_allclose(many, one_device, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_scanned_layers_are_split_over_devices(world, monkeypatch):
  jax.clear_caches()
  monkeypatch.setattr(backbone, "SCANNED_FROM", 2)
  one = sharding.device_mesh(devices=jax.devices()[:1])
  alone, _ = _losses(world, one)
  many, state = _losses(world, sharding.device_mesh(2, 2))
  np.testing.assert_allclose(many, alone, atol=1e-5, rtol=0)
  jax.clear_caches()
  kernel = state.params["backbone"]["blocks"]["mlp_in"]["kernel"]
  assert kernel.shape == (2, 16, 64)
  assert kernel.addressable_shards[0].data.shape == (2, 8, 32)


@pytest.mark.slow
def test_parts_of_a_batch_give_the_same_loss_on_every_mesh(world, one_device):
  one = sharding.device_mesh(devices=jax.devices()[:1])
  alone, _ = _losses(world, one, parts=2)
  many, _ = _losses(world, sharding.device_mesh(2, 2), parts=2)
  np.testing.assert_allclose(many, alone, atol=1e-5, rtol=0)
  assert abs(alone[0] - one_device[0]) > 1e-5  # The draws differ.


def test_fsdp_splits_another_axis_if_the_first_does_not_divide():
  kernel = jax.ShapeDtypeStruct((14, 6, 128, 64), jnp.float32)
  tree = {"backbone": {"blocks": {"out": {"kernel": kernel}}}}
  for fsdp, held in ((2, (14, 3, 128, 64)), (8, (14, 6, 16, 64))):
    (layout,) = jax.tree.leaves(
      sharding.of_tree(sharding.device_mesh(1, fsdp), tree)
    )
    assert layout.shard_shape(kernel.shape) == held


def test_sizes_that_do_not_divide_are_refused():
  with pytest.raises(ValueError, match=r"model_axis 3 .* the 8 devices"):
    sharding.device_mesh(3)
  with pytest.raises(ValueError, match=r"fsdp_axis 3 .* divisors of 8"):
    sharding.device_mesh(1, 3)
  mesh = sharding.device_mesh()
  with pytest.raises(ValueError, match="batch_size 100 does not divide over 8"):
    sharding.check_batch(mesh, 100, 1)
  with pytest.raises(ValueError, match=r"accumulation 8 parts; .* of 64"):
    sharding.check_batch(mesh, 96, 8)
  sharding.check_batch(mesh, 96, 1)
  sharding.check_batch(mesh, 96, 4)


def _mesh_of(processes, model):
  """A mesh of devices of these processes, in rows of the model axis."""
  devices = [types.SimpleNamespace(process_index=n) for n in processes]
  return mock.Mock(
    spec=jax.sharding.Mesh,
    devices=np.array(devices).reshape(-1, 1, model),
    shape={"model": model},
  )


@pytest.mark.parametrize(
  ("processes", "model", "shards"),
  [
    ([0, 0, 1, 1], 1, [(0, 2), (1, 2)]),
    ([0, 0, 1, 1], 2, [(0, 2), (1, 2)]),
    ([0, 0, 1, 1], 4, [(0, 1), (0, 1)]),
    ([0, 1, 2, 3], 2, [(0, 2), (0, 2), (1, 2), (1, 2)]),
    ([1, 1, 0, 0], 2, [(1, 2), (0, 2)]),
  ],
)
def test_processes_along_the_model_axis_hold_the_same_rows(
  monkeypatch, processes, model, shards
):
  for process, shard in enumerate(shards):
    monkeypatch.setattr(jax, "process_index", lambda n=process: n)
    assert sharding.row_shard(_mesh_of(processes, model)) == shard


def test_a_model_axis_that_divides_a_process_unevenly_is_refused():
  mesh = _mesh_of([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], 3)
  with pytest.raises(ValueError, match=r"model_axis 3 .* a divisor or a mul"):
    sharding.row_shard(mesh)


@pytest.mark.parametrize(
  ("variables", "expected"),
  [
    (
      {"JAX_PLATFORMS": "cuda"},
      "JAX finds no device (JAX_PLATFORMS is 'cuda'",
    ),
    ({"JAX_PLATFORMS": "tpu"}, "JAX finds no device (JAX_PLATFORMS is 'tpu'"),
    (
      {"JAX_ENABLE_X64": "1"},
      "JAX_ENABLE_X64 is set, and the model is trained",
    ),
    ({}, ""),
  ],
)
def test_a_missing_device_and_64_bit_mode_are_refused(variables, expected):
  """Without a traceback, whatever JAX itself raises."""
  if variables.get("JAX_PLATFORMS") in {d.platform for d in jax.devices()}:
    pytest.skip("this machine has the device")
  program = (
    "from pinrec_jax import sharding\n"
    "try: sharding.require_device()\n"
    "except ValueError as error: print(error)\n"
  )
  run = subprocess.run(
    [sys.executable, "-c", program],
    env=os.environ | variables,
    capture_output=True,
    text=True,
    check=False,
  )
  assert run.returncode == 0, run.stderr
  assert run.stdout.startswith(expected)
  assert bool(run.stdout) == bool(expected)


def test_a_table_that_does_not_divide_is_refused(world):
  config = _config()
  config.model.table_size = 63
  model = pinrec.of_config(config, world.vocabulary)
  with pytest.raises(ValueError, match=r"table_0 .* make 63 a multiple of 2"):
    state_lib.initial(
      model,
      optimizer.build(config.train),
      sharding.device_mesh(2),
      0,
    )
