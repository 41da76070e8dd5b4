"""Positives of each query: the later engagements that it should predict.

`OBJECTIVES` is the table of all objectives. A new objective is one entry.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from pinrec_jax import config as config_lib
from pinrec_jax.data import schema


class Later(NamedTuple):
  """The targets of a row, as seen from each of its positions.

  Attributes:
    following: whether a target is the next one after the position.
    later: whether a target is the following one or a later one of the same
      user. An engagement that is the target of several positions counts once.
    seconds: seconds from the position to each target; -1 is unknown.
    bucket: bucket of these seconds, from 1; 0 is unknown.
    num_buckets: number of buckets.
    same_session: whether a target is in the session of the following one.
  """

  following: Bool[Array, "b l l"]
  later: Bool[Array, "b l l"]
  seconds: Int[Array, "b l l"]
  bucket: Int[Array, "b l l"]
  num_buckets: int
  same_session: Bool[Array, "b l l"]


class Objective(NamedTuple):
  """One training objective.

  Attributes:
    positives: returns the positive mask [b q l] of every query. With several
      queries per position, the first query of all positions comes first, then
      the second query of all positions, and so on.
    trained: which positives a query is trained on: the "following" target
      alone, "one" drawn positive, or "all" of them.
  """

  positives: Callable[
    [PRNGKeyArray, Later, config_lib.Loss], Bool[Array, "b q l"]
  ]
  trained: Literal["following", "one", "all"]


def later_targets(
  batch: schema.Batch,
  bucket_of: Callable[[Int[Array, "b l l"]], Array],
  num_buckets: int,
) -> Later:
  """Returns the targets of each row, as seen from its positions.

  Unlike the paper, the session of a position is the session of its following
  target. The last position of a session then learns from the next session.

  Args:
    batch: rows of packed histories.
    bucket_of: returns the buckets of seconds ahead, from 1; 0 for -1.
    num_buckets: number of buckets.
  """
  tokens, targets = batch
  segment = jnp.asarray(tokens.segment)
  place = jnp.arange(segment.shape[-1])
  same_user = segment[:, :, None] == segment[:, None, :]
  real = (segment > 0)[:, :, None] & (targets.item > 0)[:, None, :]
  following = same_user & real & (place[:, None] == place)
  new = jnp.asarray(targets.new)[:, None, :]
  later = same_user & real & new & (place[:, None] < place)
  seconds = seconds_ahead(batch)
  session = jnp.asarray(targets.session)
  return Later(
    following=following,
    later=following | later,
    seconds=seconds,
    bucket=bucket_of(seconds),
    num_buckets=num_buckets,
    same_session=session[:, :, None] == session[:, None, :],
  )


def seconds_ahead(batch: schema.Batch) -> Int[Array, "b l l"]:
  """Returns the seconds from each token to each target of its row.

  The value is -1 if one of the two times is unknown.
  """
  then = jnp.asarray(batch.tokens.time)[:, :, None]
  later = jnp.asarray(batch.targets.time)[:, None, :]
  known = (then != schema.UNKNOWN_TIME) & (later != schema.UNKNOWN_TIME)
  return jnp.where(known, (later - then).astype(jnp.int32), -1)


def _following(
  key: PRNGKeyArray, targets: Later, config: config_lib.Loss
) -> Bool[Array, "b q l"]:
  """The following target."""
  return targets.following


def _within_window(
  key: PRNGKeyArray, targets: Later, config: config_lib.Loss
) -> Bool[Array, "b q l"]:
  """All targets within `window` seconds, and always the following one.

  A target at an unknown distance is outside the window.
  """
  near = (targets.seconds >= 0) & (targets.seconds <= config.window)
  return targets.following | targets.later & near


def _same_session(
  key: PRNGKeyArray, targets: Later, config: config_lib.Loss
) -> Bool[Array, "b q l"]:
  """The rest of the session (arXiv 2504.10507, intra-feed relaxation)."""
  return targets.later & targets.same_session


def _next_and_one_bucket(
  key: PRNGKeyArray, targets: Later, config: config_lib.Loss
) -> Bool[Array, "b q l"]:
  """Two queries per position: the next item, and one bucket of time ahead.

  The bucket is drawn from those that hold a target. So a step costs two queries
  per position for any number of buckets. Half of all queries predict the next
  item, since its vector is the first one that is generated. As one bucket of
  many, the next item was not learned at all in the synthetic world.
  """
  length = targets.bucket.shape[-1]
  in_bucket = jnp.stack(
    [
      targets.later & (targets.bucket == number)
      for number in range(1, targets.num_buckets + 1)
    ],
    1,
  )
  drawn = draw_one(key, jnp.moveaxis(jnp.any(in_bucket, -1), 1, -1))
  chosen = jnp.take_along_axis(in_bucket, drawn[:, None, :, None], 1)
  return jnp.concatenate(
    [targets.following, chosen.reshape(-1, length, length)], 1
  )


OBJECTIVES = {
  "next_item": Objective(_following, "following"),
  "windowed": Objective(_within_window, "all"),
  "session": Objective(_same_session, "all"),
  "multi_token": Objective(_next_and_one_bucket, "all"),
  # PinnerFormer's dense all-action loss (arXiv 2205.04507).
  "dense": Objective(_within_window, "one"),
}


def objective(name: str) -> Objective:
  """Returns the objective of a name.

  Raises:
    ValueError: if there is none of this name.
  """
  if name not in OBJECTIVES:
    raise ValueError(
      f"config.loss.objective is {name!r}; choose from {', '.join(OBJECTIVES)}"
    )
  return OBJECTIVES[name]


def draw_one(key: PRNGKeyArray, among: Bool[Array, "*n l"]) -> Int[Array, "*n"]:
  """Draws one of the marked places of each row uniformly; 0 if none is marked.

  It draws one random number per row, where `jax.random.categorical` draws one
  per place.
  """
  marked = jnp.cumsum(among, -1, dtype=jnp.int32)
  number = jnp.maximum(marked[..., -1], 1)
  chosen = jax.random.randint(key, number.shape, 0, number)
  return jnp.argmax(marked > chosen[..., None], -1)
