"""Which targets of its row a query may meet, by the objective."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from pinrec_jax import config as config_lib
from pinrec_jax.data import histories, schema


def seconds_ahead(batch: histories.Batch) -> Int[Array, "b l l"]:
  """Returns the time from each token to each target of its row.

  It is -1 where one of the two is unknown.
  """
  then = jnp.asarray(batch.tokens.time)[:, :, None]
  later = jnp.asarray(batch.targets.time)[:, None, :]
  known = (then != schema.UNKNOWN_TIME) & (later != schema.UNKNOWN_TIME)
  return jnp.where(known, (later - then).astype(jnp.int32), -1)


def acceptable(
  batch: histories.Batch,
  ahead: Int[Array, "b l l"],
  bucket: Int[Array, "b l l"],
  config: config_lib.Loss,
  buckets: int,
) -> Bool[Array, "b q l"]:
  """Returns which targets of its row each query may meet, by the objective.

  Only its own user's engagements from the next one on, each of them once. The
  next one always counts, whatever its distance; for the others an unknown
  distance is too far.
  Unlike the paper, the session of an intra-feed relaxation is that of the next
  engagement: a session's last position then learns from the one to come, and
  not from nothing.

  Args:
    batch: rows of histories.
    ahead: seconds from each token to each target; -1 is unknown.
    bucket: of that time; 0 is unknown.
    config: the objective.
    buckets: how many there are.

  Returns:
    one query a position, [b l l]; of the multi-token objective 1 + buckets:
    all positions' next items, then what lies in the first bucket, and so on;
    `one_bucket` draws from those.
  """
  tokens, targets = batch
  segment, place = jnp.asarray(tokens.segment), jnp.arange(ahead.shape[-1])
  own = segment[:, :, None] == segment[:, None, :]
  real = own & (segment > 0)[:, :, None] & (targets.item > 0)[:, None, :]
  following = real & (place[:, None] == place)
  new = jnp.asarray(targets.new)[:, None, :]
  later = following | real & new & (place[:, None] < place)
  if config.objective == "multi_token":
    there = [later & (bucket == n) for n in range(1, buckets + 1)]
    return jnp.concatenate([following, *there], 1)
  if config.objective == "session":
    session = jnp.asarray(targets.session)
    return later & (session[:, :, None] == session[:, None, :])
  if config.objective == "next_item":
    return following
  return following | later & (ahead >= 0) & (ahead <= config.window)


def one_of(key: PRNGKeyArray, among: Bool[Array, "*n l"]) -> Int[Array, "*n"]:
  """Draws one of the marked places of each row alike; 0 where none is marked.

  A number a row is drawn, where `jax.random.categorical` takes one a place.
  """
  marked = jnp.cumsum(among, -1, dtype=jnp.int32)
  number = jnp.maximum(marked[..., -1], 1)
  chosen = jax.random.randint(key, number.shape, 0, number)
  return jnp.argmax(marked > chosen[..., None], -1)


def one_bucket(
  key: PRNGKeyArray, meets: Bool[Array, "b q l"]
) -> Bool[Array, "b r l"]:
  """Draws one bucket of time ahead a position, of those that hold a target.

  So a step costs two queries a position, whatever the number of buckets, and
  the next item, which every other vector follows, is learned from as much as
  all times ahead together. As one bucket among a dozen it was not learned at
  all in the made-up world, where what is far ahead tells nothing.

  Args:
    key: of the draws.
    meets: of the multi-token objective, from `acceptable`.

  Returns:
    what the next items' queries may meet and then those of the drawn buckets.
  """
  rows, _, length = meets.shape
  there = meets.reshape(rows, -1, length, length)
  holds = jnp.any(there[:, 1:], -1)
  drawn = one_of(key, jnp.moveaxis(holds, 1, -1))
  chosen = jnp.take_along_axis(there[:, 1:], drawn[:, None, :, None], 1)
  return jnp.concatenate([there[:, 0], chosen[:, 0]], 1)
