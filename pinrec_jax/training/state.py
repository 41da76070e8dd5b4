"""What a training step reads and writes."""

from typing import Any, NamedTuple

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int

from pinrec_jax import config as config_lib
from pinrec_jax import sharding
from pinrec_jax.data import histories
from pinrec_jax.losses import sketch
from pinrec_jax.model import items, pinrec
from pinrec_jax.training import hash_tables
from pinrec_jax.types import Params


class State(NamedTuple):
  """Everything that changes from step to step."""

  step: Int[Array, ""]
  params: Params
  opt_state: Any  # nested as the transformations are
  counted: sketch.CountMin | None  # the targets so far, where asked for


def optimizer(config: config_lib.Train) -> optax.GradientTransformation:
  """Returns AdamW with a clipped gradient, warm-up and cosine decay.

  Hash tables may have row-wise Adagrad instead, at the same rate.
  """
  rate = optax.warmup_cosine_decay_schedule(
    0.0,
    config.learning_rate,
    config.warmup,
    max(config.steps, config.warmup + 1),
    0.02 * config.learning_rate,
  )
  adam = optax.adamw(
    rate, b2=0.98, weight_decay=config.weight_decay, mask=_decayed
  )
  if config.tables == "adagrad":
    rows = optax.chain(
      hash_tables.adagrad(), optax.scale_by_learning_rate(rate)
    )
    adam = optax.partition({"tables": rows, "rest": adam}, hash_tables.named)
  return optax.chain(optax.clip_by_global_norm(config.clip), adam)


def _decayed(params: dict) -> dict:
  """Only the kernels of dense layers decay; tables and biases do not."""
  flat = flax.traverse_util.flatten_dict(params)
  return flax.traverse_util.unflatten_dict(
    {path: path[-1] == "kernel" for path in flat}
  )


def create(
  model: pinrec.PinRec,
  transform: optax.GradientTransformation,
  loss: config_lib.Loss,
  seed: int = 0,
) -> State:
  """Returns a new state; its values depend on the seed alone."""
  vocabulary, config = model.vocabulary, model.config
  row = jnp.zeros((1, 1), jnp.int32)
  slots = sum(feature.slots for feature in vocabulary.features)
  features = items.ItemFeatures(
    rows=jnp.zeros((1, config.hashes), jnp.int32),
    categorical=jnp.zeros((1, slots), jnp.int32),
    dense=jnp.zeros((1, vocabulary.dense)),
    item_type=jnp.zeros(1, jnp.int32),
  )
  actions = jnp.zeros((1, 1, len(vocabulary.actions)), jnp.uint8)
  tokens = histories.Tokens(
    row, actions, row, row.astype(jnp.uint32), *4 * [row]
  )
  # Jitted: one program compiles sooner than each of its operations does.
  params = jax.jit(model.init)(jax.random.key(seed), features, tokens)["params"]
  counted = None
  if loss.counts == "sketch":
    counted = sketch.empty(loss.sketch_rows, loss.sketch_columns)
  start = jnp.zeros((), jnp.int32)
  return State(start, params, transform.init(params), counted)


def shapes(
  model: pinrec.PinRec,
  transform: optax.GradientTransformation,
  loss: config_lib.Loss,
) -> State:
  """Returns a state's shapes in place of its arrays."""
  return jax.eval_shape(lambda: create(model, transform, loss))


def initial(
  model: pinrec.PinRec,
  transform: optax.GradientTransformation,
  loss: config_lib.Loss,
  mesh: jax.sharding.Mesh,
  seed: int,
) -> State:
  """Returns a new state, laid out on the mesh by the parameter rules."""
  places = sharding.of_tree(mesh, shapes(model, transform, loss))
  new = jax.jit(
    lambda: create(model, transform, loss, seed), out_shardings=places
  )
  return new()


def parameters(state: State) -> int:
  """Returns how many numbers the model has."""
  return sum(int(np.prod(x.shape)) for x in jax.tree.leaves(state.params))
