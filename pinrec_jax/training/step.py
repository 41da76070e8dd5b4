"""The training step: pure, jitted, its state donated."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Real

from pinrec_jax import config as config_lib
from pinrec_jax.data import histories
from pinrec_jax.losses import objectives
from pinrec_jax.model import pinrec
from pinrec_jax.training import hash_tables
from pinrec_jax.training import state as state_lib
from pinrec_jax.types import Params

Metrics = dict[str, Real[Array, ""]]


@functools.partial(
  jax.jit,
  static_argnames=("model", "transform", "config", "seed", "rows_only"),
  donate_argnames="state",
)
def train_step(
  state: state_lib.State,
  batch: histories.Batch,
  corpus: objectives.Corpus,
  *,
  model: pinrec.PinRec,
  transform: optax.GradientTransformation,
  config: config_lib.Loss,
  seed: int,
  rows_only: bool = False,
) -> tuple[state_lib.State, Metrics]:
  """Returns the next state and this step's metrics.

  All randomness is a function of the seed and the state's step.

  Args:
    state: of before; it is donated.
    batch: rows of histories.
    corpus: the log's items and shares.
    model: what is trained.
    transform: its optimizer.
    config: the objective.
    seed: of all draws.
    rows_only: only the rows of hash tables that the step reads are updated,
      their moments too.
  """
  key = jax.random.fold_in(jax.random.key(seed), state.step)
  counted = state.counted
  if counted is not None:
    counted = counted.add(batch.targets.item.reshape(-1), config.sketch_keep)

  params, opt_state = state.params, state.opt_state
  reader, features, part = model, corpus.features.take, None
  if rows_only:
    read = objectives.items_read(batch, corpus, counted, key, config)
    part = hash_tables.part(corpus.features, read, model.config.rows)
    params, opt_state = part.take(params), part.take(opt_state)
    size = dataclasses.replace(model.config, rows=len(read))
    reader, features = model.clone(config=size), part.features

  def loss(params: Params) -> tuple[Float[Array, ""], Metrics]:
    return objectives.loss(
      reader, params, batch, corpus, counted, key, config, features=features
    )

  gradient, metrics = jax.grad(loss, has_aux=True)(params)
  updates, opt_state = transform.update(gradient, opt_state, params)
  params = optax.apply_updates(params, updates)
  if part is not None:
    params = part.put(state.params, params)
    opt_state = part.put(state.opt_state, opt_state)
  metrics["gradient_norm"] = optax.tree.norm(gradient)
  metrics["tokens"] = jnp.sum(batch.tokens.segment > 0)
  state = state._replace(
    step=state.step + 1,
    params=params,
    opt_state=opt_state,
    counted=counted,
  )
  return state, metrics
