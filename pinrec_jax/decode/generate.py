"""The generation loop: one prefill, then vectors fed back for more."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from pinrec_jax.data import histories, schema
from pinrec_jax.model import attention, head, pinrec
from pinrec_jax.types import AnyArray, Params


class Wanted(NamedTuple):
  """What a batch of requests asks for, at every step alike."""

  outcome: Int[AnyArray, "q"]  # 1 + the outcome; 0 is unspecified
  offset: Int[AnyArray, "q"]  # seconds ahead; -1 is unspecified
  feedback: Float[AnyArray, "q"]  # odds that a query's vector is fed back
  surface: Int[AnyArray, "b"]  # 1 + the surface; 0 is unspecified
  item_type: Int[AnyArray, ""]  # 1 + the type; 0 is unspecified
  age: Int[AnyArray, ""]  # seconds before training's end; -1 is unspecified


@functools.partial(jax.jit, static_argnames=("model", "steps"))
def generate(
  model: pinrec.PinRec,
  params: Params,
  vectors: Float[Array, "b l d"],
  tokens: histories.Tokens,
  wanted: Wanted,
  keys: Key[Array, "b"],
  *,
  steps: int,
) -> Float[Array, "b t q d"]:
  """Returns the vectors of every step and query.

  What is fed back is a generated vector itself, never a retrieved item
  (arXiv 2504.10507, inference): that of one query, drawn by `feedback`.

  Args:
    model: hashable, so it is static.
    params: of the model.
    vectors: of the tokens' items, as the model embeds them.
    tokens: histories that end at the last position, padded on the left.
    wanted: the conditions.
    keys: of each user's feedback draws.
    steps: vectors generated after one another per query.
  """
  batch, length = tokens.item.shape
  config, bound = model.config, model.bind({"params": params})
  cache = attention.empty_cache(
    batch, length + steps - 1, config.layers, config.heads, config.width,
    jnp.dtype(config.dtype),
  )  # fmt: skip
  states, cache = bound.states(vectors, tokens, cache, last=True)

  def queries(state: Float[Array, "b w"]) -> Float[Array, "b q d"]:
    # Nobody asks for an unknown time: that bucket, 0, means unspecified here.
    offset, age = (
      jnp.where(bucket > 0, bucket + 1, 0)
      for bucket in (bound.bucket(wanted.offset), bound.age_bucket(wanted.age))
    )
    condition = head.Condition(
      wanted.outcome, wanted.surface[:, None], offset, wanted.item_type, age
    )
    state = jnp.broadcast_to(
      state[:, None], (batch, wanted.outcome.size, state.shape[-1])
    )
    return bound.queries(state, condition)

  def step(carry: tuple, number: Int[Array, ""]):
    query, last, cache = carry
    step_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
    odds = jnp.log(wanted.feedback)
    drawn = jax.vmap(jax.random.categorical, (0, None))(step_keys, odds)
    vector = query[jnp.arange(batch), drawn]
    last = following(last, wanted, drawn)
    states, cache = bound.states(vector[:, None], last, cache)
    query = queries(states[:, -1])
    return (query, last, cache), query

  first = queries(states[:, -1])
  last = jax.tree.map(lambda column: column[:, -1:], tokens)
  _, more = jax.lax.scan(step, (first, last, cache), jnp.arange(1, steps))
  return jnp.concatenate([first[:, None], jnp.moveaxis(more, 0, 1)], 1)


def following(
  last: histories.Tokens, wanted: Wanted, drawn: Int[Array, "b"]
) -> histories.Tokens:
  """Returns the token of the event a fed-back vector stands for.

  It has the outcome of the query that was drawn, the request's surface (or
  else the surface of the event before) and, where the query names an offset
  and the last time is known, a time.
  """
  offset = jnp.asarray(wanted.offset)[drawn][:, None]
  dated = (offset >= 0) & (last.time != schema.UNKNOWN_TIME)
  ahead = jnp.maximum(offset, 0)
  actions = jax.nn.one_hot(
    jnp.asarray(wanted.outcome)[drawn] - 1,
    last.actions.shape[-1],
    dtype=last.actions.dtype,
  )
  surface = wanted.surface[:, None]
  return histories.Tokens(
    item=jnp.zeros_like(last.item),
    actions=actions[:, None],
    surface=jnp.where(surface > 0, surface - 1, last.surface),
    time=jnp.where(dated, last.time + ahead.astype(last.time.dtype), 0),
    gap=jnp.where(dated, ahead, -1).astype(last.gap.dtype),
    position=last.position + 1,
    after=last.after,
    segment=last.segment,
  )
