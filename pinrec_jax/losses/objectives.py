"""What each history position is trained to predict, and its loss."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from pinrec_jax import config as config_lib
from pinrec_jax.data import histories, schema
from pinrec_jax.losses import sampling, sketch, softmax
from pinrec_jax.model import head, items, pinrec
from pinrec_jax.types import AnyArray, Params


class Corpus(NamedTuple):
  """What a step knows of the whole log; the same at every step."""

  features: items.ItemFeatures  # one row an item
  share: Float[AnyArray, "v"]  # of an item among the training targets
  shown_share: Float[AnyArray, "v"]  # among the impressions without action
  outcome_share: Float[AnyArray, "o"]  # of an outcome among their actions


class Asked(NamedTuple):
  """What the queries of a batch ask for; a position has one, or several."""

  condition: head.Condition  # of [b q]
  meets: Bool[Array, "b q l"]  # the row's targets that satisfy it
  weight: Float[Array, "b q"]  # what its loss counts for


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

  Only its own user's engagements from the next one on. The next one always
  counts, whatever its distance; for the others an unknown distance is too far.
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
  later = real & (place[:, None] <= place)
  following = real & (place[:, None] == place)
  if config.objective == "multi_token":
    there = [later & (bucket == n) for n in range(1, buckets + 1)]
    return jnp.concatenate([following, *there], 1)
  if config.objective == "session":
    session = jnp.asarray(targets.session)
    return later & (session[:, :, None] == session[:, None, :])
  if config.objective == "next_item":
    return following
  return following | later & (ahead >= 0) & (ahead <= config.window)


def one_bucket(
  key: PRNGKeyArray, meets: Bool[Array, "b q l"]
) -> tuple[Bool[Array, "b r l"], Float[Array, "b r"]]:
  """Draws one bucket of time ahead a position, and what it counts for.

  A position's query for a bucket is trained in some steps and stands for all
  buckets that hold a target for it, so that a step costs two queries a
  position, whatever the number of buckets, and on average learns the same.

  Args:
    key: of the draws.
    meets: of the multi-token objective, from `acceptable`.

  Returns:
    meets of the next items and then of the drawn buckets, two queries a
    position, and the weights of their losses; 0 where nothing may be met.
  """
  rows, _, length = meets.shape
  there = meets.reshape(rows, -1, length, length)
  holds = jnp.any(there, -1)
  drawn = jax.random.categorical(
    key, jnp.where(holds[:, 1:], 0.0, -jnp.inf), axis=1
  )
  chosen = jnp.take_along_axis(there[:, 1:], drawn[:, None, :, None], 1)
  return (
    jnp.concatenate([there[:, 0], chosen[:, 0]], 1),
    jnp.concatenate([holds[:, 0], jnp.sum(holds[:, 1:], 1)], 1).astype(
      jnp.float32
    ),
  )


def asked(
  key: PRNGKeyArray,
  batch: histories.Batch,
  bucket: Int[Array, "b l l"],
  age: Int[Array, "b l"],
  meets: Bool[Array, "b q l"],
  outcome_share: Float[AnyArray, "o"],
  config: config_lib.Loss,
) -> Asked:
  """Draws the condition of each query and keeps the targets that satisfy it.

  The condition is that of one target, drawn from those the query may meet:
  one of its outcomes, its surface, type, age and offset (arXiv 2504.10507,
  conditions at training), each left unspecified at the configured rate so that
  a request may leave it out. It thereby follows whichever target is met, at
  the cost of one query. A multi-token query's bucket is always its offset.

  A target of several outcomes is drawn for each of them less often than one of
  a single outcome. So a query for an outcome counts by how seldom its target is
  drawn for it: each outcome is then learned from all of its targets alike, and
  not from those that have no other.

  Args:
    key: of the draws.
    batch: rows of histories.
    bucket: of the time from each token to each target.
    age: the bucket of each target's age.
    meets: from `acceptable`.
    outcome_share: how common each outcome is.
    config: rates and weights.
  """
  target_key, outcome_key, *drop_keys = jax.random.split(key, 7)
  targets = jax.tree.map(jnp.asarray, batch.targets)
  times = meets.shape[1] // meets.shape[2]  # queries a position
  bucket = jnp.tile(bucket, (1, times, 1))
  if config.objective == "next_item":
    met = jnp.broadcast_to(jnp.arange(meets.shape[2]), meets.shape[:2])
  else:
    met = jax.random.categorical(target_key, jnp.where(meets, 0.0, -jnp.inf))
  rows = jnp.arange(met.shape[0])[:, None]
  of_met = jax.tree.map(lambda column: column[rows, met], targets)
  weight = outcome_share**-config.rare_outcomes
  logits = jnp.where(of_met.outcomes > 0, jnp.log(weight), -jnp.inf)
  drawn = 1 + jax.random.categorical(outcome_key, logits)
  outcome = jnp.where(jnp.any(of_met.outcomes > 0, -1), drawn, 0)
  # By the inverse of an outcome's chance, times its weight.
  owed = jnp.sum(jnp.where(of_met.outcomes > 0, weight, 0.0), -1)
  offset = 1 + jnp.take_along_axis(bucket, met[..., None], -1)[..., 0]
  full = head.Condition(
    outcome,
    of_met.surface + 1,
    offset,
    of_met.item_type + 1,
    age[rows, met] + 1,
  )
  keep = head.Condition(
    *(
      jax.random.bernoulli(k, 1 - config.condition_drop, met.shape)
      for k in drop_keys
    )
  )
  if config.objective == "multi_token":
    beyond = jnp.arange(meets.shape[1]) >= meets.shape[2]
    keep = keep._replace(offset=keep.offset | beyond)
  condition = jax.tree.map(lambda part, k: jnp.where(k, part, 0), full, keep)
  if config.objective in config_lib.ONE_TARGET:
    meets = meets & jax.nn.one_hot(met, meets.shape[-1], dtype=bool)
  else:
    meets = meets & _satisfies(condition, targets, bucket, age)
  told = condition.outcome > 0
  mean = jnp.sum(owed * told) / jnp.maximum(jnp.sum(told), 1)
  return Asked(condition, meets, jnp.where(told, owed / mean, 1.0))


def _satisfies(
  condition: head.Condition,
  targets: histories.Targets,
  bucket: Int[Array, "b q l"],
  age: Int[Array, "b l"],
) -> Bool[Array, "b q l"]:
  """Returns which targets of its row satisfy each query's condition."""
  rows = jnp.arange(bucket.shape[0])[:, None]
  wanted = jnp.maximum(condition.outcome - 1, 0)
  outcomes = jnp.swapaxes(targets.outcomes, 1, 2)[rows, wanted] > 0
  found = (condition.outcome == 0)[..., None] | outcomes
  for part, has in (
    (condition.surface, targets.surface[:, None]),
    (condition.offset, bucket),
    (condition.item_type, targets.item_type[:, None]),
    (condition.age, age[:, None]),
  ):
    found &= (part == 0)[..., None] | (part[..., None] == has + 1)
  return found


def loss(
  model: pinrec.PinRec,
  params: Params,
  batch: histories.Batch,
  corpus: Corpus,
  counted: sketch.CountMin | None,
  key: PRNGKeyArray,
  config: config_lib.Loss,
) -> tuple[Float[Array, ""], dict[str, Array]]:
  """Returns the mean loss over the queries that may meet something, in nats.

  Args:
    model: what is trained.
    params: its parameters.
    batch: rows of histories.
    corpus: the log's items and shares.
    counted: the targets so far, where the shares come from a sketch.
    key: of this step's draws and dropout.
    config: the objective and its negatives.
  """
  condition_key, negative_key, dropout_key = jax.random.split(key, 3)
  tokens, targets = batch
  bound = model.bind({"params": params}, rngs={"dropout": dropout_key})
  ahead = seconds_ahead(batch)
  bucket = bound.bucket(ahead)
  meets = acceptable(batch, ahead, bucket, config, bound.buckets)
  weight = jnp.any(meets, -1).astype(jnp.float32)
  if config.objective == "multi_token":
    meets, weight = one_bucket(jax.random.fold_in(condition_key, 1), meets)
  condition, meets, counts = asked(
    condition_key,
    batch,
    bucket,
    bound.age_bucket(targets.age),
    meets,
    corpus.outcome_share,
    config,
  )
  mixture = sampling.Mixture(
    corpus.share.shape[0] - 1,
    own=counted.share if counted else lambda item: corpus.share[item],
    shown=lambda item: corpus.shown_share[item],
  )
  negatives, target_expected = mixture.draw(
    negative_key, targets.item.reshape(-1), targets.shown.reshape(-1), config
  )

  def embedded(item: Int[AnyArray, "*n"]) -> Float[Array, "*n d"]:
    return bound.embed(corpus.features.take(item), train=True)

  states, _ = bound.states(embedded(tokens.item), tokens, train=True)
  states = jnp.tile(states, (1, meets.shape[1] // meets.shape[2], 1))
  temperature = bound.temperatures()
  if not config.learned_temperature:
    temperature = jax.lax.stop_gradient(temperature)
  bias = jnp.zeros(targets.item.shape)
  if config.logq == "classic":
    bias = target_expected.reshape(targets.item.shape)
  losses = softmax.sampled_softmax(
    bound.queries(states, condition),
    softmax.Targets(
      vector=embedded(targets.item),
      item=targets.item,
      meets=meets,
      bias=bias,
    ),
    softmax.Scored(
      vector=embedded(negatives.item),
      item=negatives.item,
      log_expected=negatives.log_expected * (config.logq != "none"),
    ),
    temperature=temperature,
    config=config,
  )
  if model.config.conditioned:
    weight = weight * counts
  count = jnp.maximum(jnp.sum(weight), 1)
  mean = jnp.sum(losses * weight) / count
  met = jnp.sum(weight > 0)
  return mean, {"loss": mean, "temperature": temperature, "targets": met}
