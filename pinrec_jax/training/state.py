"""The training state: all that changes from step to step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int

from pinrec_jax import sharding
from pinrec_jax.data import schema
from pinrec_jax.model import item_embedder, pinrec
from pinrec_jax.types import Params


class State(NamedTuple):
  """The state of a training.

  Attributes:
    step: number of steps taken.
    params: parameters of the model.
    opt_state: state of the optimizer.
  """

  step: Int[Array, ""]
  params: Params
  opt_state: Any


def create(
  model: pinrec.PinRec, transform: optax.GradientTransformation, seed: int = 0
) -> State:
  """Returns a new state. Its values depend on the seed alone."""
  vocabulary, config = model.vocabulary, model.config
  slots = sum(feature.slots for feature in vocabulary.features)
  features = item_embedder.ItemFeatures(
    rows=jnp.zeros((1, config.num_hashes), jnp.int32),
    categorical=jnp.zeros((1, slots), jnp.int32),
    dense=jnp.zeros((1, vocabulary.dense)),
    item_type=jnp.zeros(1, jnp.int32),
  )
  tokens = schema.empty_tokens(1, 1, len(vocabulary.actions))
  # One jitted program compiles faster than many single operations.
  params = jax.jit(model.init)(jax.random.key(seed), features, tokens)["params"]
  return State(jnp.zeros((), jnp.int32), params, transform.init(params))


def shapes(
  model: pinrec.PinRec, transform: optax.GradientTransformation
) -> State:
  """Returns a state with shapes in place of arrays."""
  return jax.eval_shape(lambda: create(model, transform))


def initial(
  model: pinrec.PinRec,
  transform: optax.GradientTransformation,
  mesh: jax.sharding.Mesh,
  seed: int,
) -> State:
  """Returns a new state, laid out on the mesh by the parameter rules."""
  layout = sharding.of_tree(mesh, shapes(model, transform))
  new = jax.jit(lambda: create(model, transform, seed), out_shardings=layout)
  return new()


def num_parameters(state: State) -> int:
  """Returns the number of trainable parameters."""
  return sum(int(np.prod(x.shape)) for x in jax.tree.leaves(state.params))
