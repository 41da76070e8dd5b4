"""The training step: a pure, jitted function that donates its state."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PRNGKeyArray, Real

from pinrec_jax import config as config_lib
from pinrec_jax.data import schema
from pinrec_jax.losses import objectives
from pinrec_jax.model import pinrec
from pinrec_jax.training import hash_tables
from pinrec_jax.training import state as state_lib
from pinrec_jax.types import Params

Metrics = dict[str, Real[Array, ""]]


@functools.partial(
  jax.jit,
  static_argnames=(
    "model",
    "transform",
    "config",
    "seed",
    "rows_only",
    "shards",
    "parts",
  ),
  donate_argnames="state",
)
def train_step(
  state: state_lib.State,
  batch: schema.Batch,
  corpus: objectives.Corpus,
  rate: Float[Array, ""],
  *,
  model: pinrec.PinRec,
  transform: optax.GradientTransformation,
  config: config_lib.Loss,
  seed: int,
  rows_only: bool = False,
  shards: int = 1,
  parts: int = 1,
) -> tuple[state_lib.State, Metrics]:
  """Returns the next state and this step's metrics.

  All randomness is a function of the seed and the state's step. With several
  devices, call it within `jax.set_mesh`.

  Args:
    state: the state before the step; it is donated.
    batch: rows of packed histories.
    corpus: features and frequencies of all items.
    rate: the learning rate.
    model: the model to train.
    transform: the optimizer, for a learning rate of 1.
    config: the objective and its negatives.
    seed: seed of all draws.
    rows_only: whether to update only the hash-table rows that the step reads,
      and their moments.
    shards: with `rows_only`, equal parts into which devices split the rows of a
      table.
    parts: number of parts into which the batch is split. They are
      differentiated one after another.
  """
  key = jax.random.fold_in(jax.random.key(seed), state.step)
  each = _split(batch, parts)
  keys = key[None] if parts == 1 else jax.random.split(key, parts)
  params, opt_state = state.params, state.opt_state
  features, rows = None, None
  if rows_only:
    read = jax.vmap(
      lambda part, key: objectives.items_read(part, corpus, key, config)
    )(each, keys)
    rows = hash_tables.part(
      corpus.features, read, model.config.table_size, shards
    )
    params, opt_state = rows.take(params), rows.take(opt_state)
    size = dataclasses.replace(model.config, table_size=rows.size)
    model, features = model.clone(config=size), rows.features
  gradient, metrics = _mean_gradient(
    lambda params, part, key: objectives.loss(
      model, params, part, corpus, key, config, features
    ),
    params,
    each,
    keys,
  )
  updates, opt_state = transform.update(gradient, opt_state, params)
  updates = jax.tree.map(lambda x: rate * x, updates)
  params = optax.apply_updates(params, updates)
  if rows is not None:
    params = rows.put(state.params, params)
    opt_state = rows.put(state.opt_state, opt_state)
    # Otherwise some rows were not updated, and the loop stops.
    metrics["rows_fit"] = rows.fits
  metrics["gradient_norm"] = optax.tree.norm(gradient)
  metrics["tokens"] = jnp.sum(batch.tokens.segment > 0)
  step = state.step + 1
  state = state._replace(step=step, params=params, opt_state=opt_state)
  return state, metrics


def _split(batch: schema.Batch, parts: int) -> schema.Batch:
  """Returns a batch with a new first axis of parts of equal size.

  Part i has the rows i, i + parts and so on, so that rows stay on their
  devices.
  """
  return jax.tree.map(
    lambda x: jnp.swapaxes(x.reshape(-1, parts, *x.shape[1:]), 0, 1), batch
  )


def _mean_gradient(
  loss: Callable[..., tuple[Float[Array, ""], Metrics]],
  params: Params,
  each: schema.Batch,
  keys: Key[Array, "n"],
) -> tuple[Params, Metrics]:
  """Returns the mean gradient and metrics over the parts of a batch.

  A part is weighted by its number of targets. The parts are computed one after
  another.
  """
  differentiated = jax.grad(loss, has_aux=True)
  if len(keys) == 1:
    return differentiated(params, *jax.tree.map(lambda x: x[0], (each, keys)))

  def _weighted(part: schema.Batch, key: PRNGKeyArray) -> Any:
    found = differentiated(params, part, key)
    targets = found[1]["targets"]
    return jax.tree.map(lambda x: x * targets, found), targets

  shapes = jax.eval_shape(
    _weighted, *jax.tree.map(lambda x: x[0], (each, keys))
  )
  (gradient, metrics), targets = jax.lax.scan(
    lambda total, part: (jax.tree.map(jnp.add, total, _weighted(*part)), None),
    jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes),
    (each, keys),
  )[0]
  count = jnp.maximum(targets, 1)
  gradient, metrics = jax.tree.map(lambda x: x / count, (gradient, metrics))
  return gradient, metrics | {"targets": targets}
