"""A step on some rows of the tables equals the step on all of them."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax import sharding
from pinrec_jax.data import pipeline
from pinrec_jax.losses import objectives
from pinrec_jax.model import pinrec
from pinrec_jax.training import hash_tables, optimizer, training_data
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

ROWS = 512  # Far more than items, so that most rows are never read.


@pytest.fixture(scope="module")
def made(world):
  """Returns the function from a table optimizer to a step and its state."""
  config = config_lib.Config(
    model=config_lib.Model(
      hidden_dim=16, num_heads=2, embedding_dim=8, table_size=ROWS
    ),
    loss=config_lib.Loss(in_batch_negatives=32, uniform_negatives=16),
  )
  config.data.sequence_length, config.train.warmup_steps = 8, 0
  rows, corpus = training_data.packed(config, world)
  model = pinrec.of_config(config, world.vocabulary)
  batch = next(pipeline.batches(rows, batch=8, seed=0))

  def of(kind, mesh=None):
    train = dataclasses.replace(config.train, table_optimizer=kind)
    transform = optimizer.build(train)
    mesh = mesh or sharding.device_mesh(devices=jax.devices()[:1])
    state = state_lib.initial(model, transform, mesh, 0)

    def step(state):
      with jax.set_mesh(mesh):
        return step_lib.train_step(
          state,
          sharding.from_rows(mesh, batch),
          sharding.from_all(mesh, corpus),
          jnp.float32(train.learning_rate),
          model=model, transform=transform, config=config.loss, seed=3,
          rows_only=kind != "adam", shards=sharding.table_shards(mesh),
        )  # fmt: skip

    return step, state

  read = objectives.items_read(
    batch, jax.tree.map(jnp.asarray, corpus),
    jax.random.fold_in(jax.random.key(3), 0), config.loss,
  )  # fmt: skip
  read = np.concatenate([np.ravel(item) for item in read])
  return of, np.unique(np.asarray(corpus.features.rows)[read])


def _copy(state):
  return jax.tree.map(np.array, state)


def _tables(params):
  return [params["item_embedder"][f"table_{n}"] for n in range(2)]


def test_the_first_step_of_lazy_adam_equals_adams(made):
  """Later steps differ, since Adam still moves rows that are not read."""
  of, _ = made
  found = []
  for kind in ("adam", "lazy_adam"):
    step, state = of(kind)
    state, metrics = step(state)
    assert metrics.pop("rows_fit", True)
    found.append((state.params, state.opt_state, metrics))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), *found)


@pytest.mark.parametrize("kind", ["lazy_adam", "adagrad"])
def test_rows_that_are_not_read_do_not_change(made, kind):
  of, read = made
  step, state = of(kind)
  before = _copy(state)
  after, _ = step(state)
  for old, new in zip(
    _tables(before.params), _tables(after.params), strict=True
  ):
    changed = np.flatnonzero((old != np.asarray(new)).any(-1))
    assert 0 < len(changed) < ROWS / 4
    assert set(changed) <= set(read)


def test_adagrad_equals_its_definition():
  rng = np.random.default_rng(0)
  gradients = rng.normal(size=(3, 5, 4)).astype(np.float32)
  gradients[:, 2] = 0
  transform = hash_tables.adagrad()
  params = {"table_0": jnp.zeros((5, 4))}
  state: Any = transform.init(params)
  squares = np.zeros(5)
  for gradient in gradients:
    updates: Any
    updates, state = transform.update({"table_0": jnp.asarray(gradient)}, state)
    squares += np.mean(gradient.astype(float) ** 2, -1)
    expected = gradient / (np.sqrt(squares)[:, None] + 1e-8)
    np.testing.assert_allclose(updates["table_0"], expected, rtol=1e-5)
  assert state["table_0"].shape == (5, 1)


def test_adagrad_is_for_hash_tables_alone(made):
  of, _ = made
  _, state = of("adagrad")
  labels = hash_tables.labels(state.params)
  assert sum(n == "tables" for n in jax.tree.leaves(labels)) == 2
  assert len(jax.tree.leaves(labels)) == len(jax.tree.leaves(state.params))
  sizes = {x.shape for x in jax.tree.leaves(state.opt_state)}
  assert (ROWS, 1) in sizes
  assert (ROWS, 4) not in sizes


@pytest.mark.parametrize("kind", ["lazy_adam", "adagrad"])
def test_the_loss_falls(made, kind):
  of, _ = made
  step, state = of(kind)
  losses = []
  for _ in range(40):
    state, metrics = step(state)
    losses.append(float(metrics["loss"]))
  assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


@pytest.mark.parametrize(
  "axes",
  [
    pytest.param((2, 1), marks=pytest.mark.slow),
    pytest.param((1, 8), marks=pytest.mark.slow),
    (2, 2),
  ],
)
@pytest.mark.parametrize(
  "kind", [pytest.param("lazy_adam", marks=pytest.mark.slow), "adagrad"]
)
def test_every_mesh_gives_the_same_step(made, kind, axes):
  of, _ = made
  found = []
  for mesh in (None, sharding.device_mesh(*axes)):
    step, state = of(kind, mesh)
    losses = []
    for _ in range(3):
      state, metrics = step(state)
      losses.append(float(metrics["loss"]))
    found.append((losses, _copy(_tables(state.params))))
  (losses, whole), (on_mesh, split) = found
  np.testing.assert_allclose(losses, on_mesh, rtol=1e-5)
  # Both optimizers divide by the size of the gradient, so rounding grows.
  for one, other in zip(whole, split, strict=True):
    np.testing.assert_allclose(one, other, atol=5e-4)


def test_more_rows_than_a_shard_has_places_for_are_noticed():
  """Hashed rows spread evenly, so this needs rows that are no hashes."""
  for factor, expected in ((1, False), (8, True)):
    *_, fits = hash_tables.spread(factor * jnp.arange(400), 4096, 8)
    assert bool(fits) == expected


@pytest.mark.parametrize("shards", [1, 4])
def test_a_part_has_the_rows_of_its_items(shards):
  rng = np.random.default_rng(1)
  from pinrec_jax.model import item_embedder

  rows = rng.integers(20, size=(9, 2)).astype(np.int32)
  rows[4] = -1
  features = item_embedder.ItemFeatures(
    jnp.asarray(rows), jnp.zeros((9, 1), jnp.int32), jnp.zeros((9, 0)),
    jnp.arange(9, dtype=jnp.int32),
  )  # fmt: skip
  params = {"table_0": jnp.asarray(rng.normal(size=(20, 3)), jnp.float32)}
  params |= {"table_1": params["table_0"] + 1, "bias": jnp.ones(2)}
  item = jnp.array([8, 4, 0, 8, 3])
  part = hash_tables.part(features, (item[:2], item[2:]), 20, shards)
  small, of = part.take(params), part.features(item)
  np.testing.assert_array_equal(of.item_type, item)
  for n in range(2):
    whole = params[f"table_{n}"][rows[item, n]]
    taken = small[f"table_{n}"][of.rows[:, n]]
    there = rows[item, n] >= 0
    np.testing.assert_array_equal(taken[there], whole[there])
    assert (np.asarray(of.rows[:, n])[~there] == -1).all()
  small = jax.tree.map(lambda x: x + 1, small)
  again = part.put(params, small)
  for n in range(2):
    read = np.unique(rows[np.array([8, 0, 3]), n])
    expected = np.array(params[f"table_{n}"])
    expected[read] += 1
    np.testing.assert_array_equal(again[f"table_{n}"], expected)
  np.testing.assert_array_equal(again["bias"], params["bias"] + 1)
  assert optax.tree.norm(again) > 0
