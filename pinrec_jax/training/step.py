"""The training step: pure, jitted, its state donated."""

import functools

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Real

from pinrec_jax import config as config_lib
from pinrec_jax.data import histories
from pinrec_jax.losses import objectives
from pinrec_jax.model import pinrec
from pinrec_jax.training import state as state_lib
from pinrec_jax.types import Params

Metrics = dict[str, Real[Array, ""]]


@functools.partial(
  jax.jit,
  static_argnames=("model", "transform", "config", "seed"),
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
) -> tuple[state_lib.State, Metrics]:
  """Returns the next state and this step's metrics.

  All randomness is a function of the seed and the state's step.
  """
  key = jax.random.fold_in(jax.random.key(seed), state.step)
  counted = state.counted
  if counted is not None:
    counted = counted.add(batch.targets.item.reshape(-1), config.sketch_keep)

  def loss(params: Params) -> tuple[Float[Array, ""], Metrics]:
    return objectives.loss(model, params, batch, corpus, counted, key, config)

  gradient, metrics = jax.grad(loss, has_aux=True)(state.params)
  updates, opt_state = transform.update(gradient, state.opt_state, state.params)
  params = optax.apply_updates(state.params, updates)
  metrics["gradient_norm"] = optax.tree.norm(gradient)
  metrics["tokens"] = jnp.sum(batch.tokens.segment > 0)
  state = state._replace(
    step=state.step + 1,
    params=params,
    opt_state=opt_state,
    counted=counted,
  )
  return state, metrics
