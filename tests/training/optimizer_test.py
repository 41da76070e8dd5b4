from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.training import optimizer

PARAMS = {
  "item_embedder": {"table_0": jnp.ones((4, 3))},
  "mlp": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)},
}


def _config(**train):
  return config_lib.Train(steps=100, warmup_steps=10, **train)


def _updates(config, gradient, steps=1) -> tuple[Any, Any]:
  transform = optimizer.build(config)
  state, params = transform.init(PARAMS), PARAMS
  updates: Any = None
  for _ in range(steps):
    updates, state = transform.update(gradient, state, params)
    params = optax.apply_updates(params, updates)
  return updates, state


def test_the_rate_warms_up_linearly_and_decays_by_a_cosine():
  got = optimizer.learning_rates(_config(learning_rate=0.5))
  assert got.shape == (100,)
  middle = 0.5 * (0.02 + 0.98 * 0.5)
  end = 0.5 * (0.02 + 0.98 * (1 + np.cos(np.pi * 89 / 90)) / 2)
  np.testing.assert_allclose(
    got[[0, 5, 10, 55, 99]], [0, 0.25, 0.5, middle, end], rtol=1e-5
  )


def test_a_large_gradient_is_clipped():
  """Without clipping, Adagrad's first update is the same for both."""
  config = _config(table_optimizer="adagrad")
  gradient = jax.tree.map(jnp.ones_like, PARAMS)
  norm = np.asarray(optax.tree.norm(gradient))
  states = [
    _updates(config, jax.tree.map(lambda x, s=s: s * x, gradient))[1]
    for s in (100.0, 1 / norm)
  ]
  for one, other in zip(*map(jax.tree.leaves, states), strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_weight_decay_is_for_kernels_alone():
  updates, _ = _updates(_config(), jax.tree.map(jnp.zeros_like, PARAMS), 2)
  assert (np.asarray(updates["mlp"]["kernel"]) < 0).all()
  assert not np.asarray(updates["mlp"]["bias"]).any()
  assert not np.asarray(updates["item_embedder"]["table_0"]).any()


@pytest.mark.parametrize("table_optimizer", ["adam", "lazy_adam", "adagrad"])
def test_adagrad_stores_one_number_per_row_of_a_table(table_optimizer):
  config = _config(table_optimizer=table_optimizer)
  _, state = _updates(config, jax.tree.map(jnp.ones_like, PARAMS))
  shapes = [x.shape for x in jax.tree.leaves(state)]
  adagrad = table_optimizer == "adagrad"
  assert ((4, 1) in shapes) == adagrad
  assert shapes.count((4, 3)) == (0 if adagrad else 2)
  assert shapes.count((3, 2)) == 2  # Adam's moments of the kernel.
