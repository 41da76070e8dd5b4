"""The generation loop: a prefill, and steps that feed vectors back."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pinrec_jax.data import schema
from pinrec_jax.decode import conditions as conditions_lib
from pinrec_jax.model import attention, head, pinrec
from pinrec_jax.types import Params


@functools.partial(jax.jit, static_argnames=("model", "steps"))
def generate(
  model: pinrec.PinRec,
  params: Params,
  vectors: Float[Array, "b l d"],
  tokens: schema.Tokens,
  conditions: conditions_lib.Conditions,
  *,
  steps: int,
) -> Float[Array, "b t q d"]:
  """Returns the vectors of every step and query.

  The generated vector itself is fed back, never a retrieved item (arXiv
  2504.10507, inference). Unlike the paper, nothing is drawn: the query whose
  vector is fed back is `fed_back` of the conditions.

  Args:
    model: the model; a static argument.
    params: parameters of the model.
    vectors: vectors of the tokens' items, from `PinRec.embed`.
    tokens: histories that end at the last position, padded on the left.
    conditions: the conditions of all requests.
    steps: generation steps.
  """
  batch, length = tokens.item.shape
  config, bound = model.config, model.bind({"params": params})
  cache = attention.empty_cache(
    batch,
    length + steps - 1,
    config.num_layers,
    config.num_heads,
    config.hidden_dim,
    jnp.dtype(config.dtype),
  )
  states, cache = bound.states(vectors, tokens, cache, last=True)
  condition = _condition(bound, conditions)

  def _queries(state: Float[Array, "b w"]) -> Float[Array, "b q d"]:
    shape = (batch, conditions.outcome.size, state.shape[-1])
    return bound.queries(jnp.broadcast_to(state[:, None], shape), condition)

  def _step(carry: tuple, _: None):
    query, last, cache = carry
    vector = query[jnp.arange(batch), conditions.fed_back]
    last = next_token(last, conditions)
    states, cache = bound.states(vector[:, None], last, cache)
    query = _queries(states[:, -1])
    return (query, last, cache), query

  first = _queries(states[:, -1])
  last = jax.tree.map(lambda column: column[:, -1:], tokens)
  _, more = jax.lax.scan(_step, (first, last, cache), length=steps - 1)
  return jnp.concatenate([first[:, None], jnp.moveaxis(more, 0, 1)], 1)


def _condition(
  bound: pinrec.PinRec, conditions: conditions_lib.Conditions
) -> head.Condition:
  """Returns the condition of every query, [b q]."""
  offset, age = (
    # Bucket 0 is unspecified here: a request never asks for an unknown time.
    jnp.where(bucket > 0, bucket + 1, 0)
    for bucket in (
      bound.bucket(conditions.offset),
      bound.age_bucket(conditions.age),
    )
  )
  return head.Condition(
    outcome=jnp.asarray(conditions.outcome)[None],
    surface=conditions.surface[:, None],
    offset=offset,
    item_type=conditions.item_type[:, None],
    age=age[:, None],
  )


def next_token(
  last: schema.Tokens, conditions: conditions_lib.Conditions
) -> schema.Tokens:
  """Returns the token of the event that a fed-back vector stands for.

  Its action is the outcome of the query that is fed back. Its surface is the
  requested one, or else the surface of the last token. It has a time if the
  query has an offset and the last token has a time. Other columns are 0, which
  is missing.
  """
  fed_back = jnp.asarray(conditions.fed_back)
  rows = jnp.arange(fed_back.shape[0])
  offset = jnp.asarray(conditions.offset)[rows, fed_back][:, None]
  dated = (offset >= 0) & (last.time != schema.UNKNOWN_TIME)
  ahead = jnp.maximum(offset, 0)
  actions = jax.nn.one_hot(
    jnp.asarray(conditions.outcome)[fed_back] - 1,
    last.actions.shape[-1],
    dtype=last.actions.dtype,
  )
  surface = conditions.surface[:, None]
  return jax.tree.map(jnp.zeros_like, last)._replace(
    actions=actions[:, None],
    surface=jnp.where(surface > 0, surface - 1, last.surface),
    time=jnp.where(dated, last.time + ahead.astype(last.time.dtype), 0),
    gap=jnp.where(dated, ahead, -1).astype(last.gap.dtype),
    position=last.position + 1,
    after=last.after,
    segment=last.segment,
  )
