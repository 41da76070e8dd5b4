"""What each history position is trained to predict, and its loss."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from pinrec_jax import config as config_lib
from pinrec_jax.data import histories
from pinrec_jax.losses import meeting, sampling, sketch, softmax
from pinrec_jax.model import head, items, pinrec
from pinrec_jax.types import AnyArray, Params


class Corpus(NamedTuple):
  """What a step knows of the whole log; the same at every step."""

  features: items.ItemFeatures  # one row an item
  share: Float[AnyArray, "v"]  # of an item among the training targets
  shown_share: Float[AnyArray, "v"]  # among the impressions without action
  outcome_share: Float[AnyArray, "o"]  # of an outcome among their actions
  withheld: Bool[AnyArray, "v"] | None = None  # items that are not there yet


class Asked(NamedTuple):
  """What the queries of a batch ask for; a position has one, or several."""

  condition: head.Condition  # of [b q]
  meets: Bool[Array, "b q l"]  # the row's targets that satisfy it
  weight: Float[Array, "b q"]  # what its loss counts for


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
  the cost of one query. Of the multi-token objective the next item is asked for
  whenever it comes, and what lies in a bucket always by that bucket.

  A target of several outcomes is drawn for each of them less often than one of
  a single outcome. So a query for an outcome counts by how seldom its target is
  drawn for it: each outcome is then learned from all of its targets alike, and
  not from those that have no other.

  Args:
    key: of the draws.
    batch: rows of histories.
    bucket: of the time from each token to each target.
    age: the bucket of each target's age.
    meets: from `meeting.acceptable`.
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
    met = meeting.one_of(target_key, meets)
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
    keep = keep._replace(offset=jnp.broadcast_to(beyond, met.shape))
  condition = jax.tree.map(lambda part, k: jnp.where(k, part, 0), full, keep)
  if config.objective in config_lib.ONE_TARGET:
    meets = meets & jax.nn.one_hot(met, meets.shape[-1], dtype=bool)
  else:
    meets = meets & _satisfies(condition, targets, bucket, age)
  told = (condition.outcome > 0) & jnp.any(meets, -1)
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


def _negatives(
  batch: histories.Batch,
  corpus: Corpus,
  counted: sketch.CountMin | None,
  key: PRNGKeyArray,
  config: config_lib.Loss,
) -> tuple[sampling.Negatives, Float[Array, "_"]]:
  """Returns a step's negatives, and each target's expected count among them."""
  targets = batch.targets
  mixture = sampling.Mixture(
    corpus.share.shape[0] - 1,
    own=counted.share if counted else lambda item: corpus.share[item],
    shown=lambda item: corpus.shown_share[item],
    withheld=corpus.withheld,
  )
  return mixture.draw(
    jax.random.split(key, 3)[1],
    targets.item.reshape(-1),
    targets.shown.reshape(-1),
    config,
  )


def items_read(
  batch: histories.Batch,
  corpus: Corpus,
  counted: sketch.CountMin | None,
  key: PRNGKeyArray,
  config: config_lib.Loss,
) -> Int[Array, "_"]:
  """Returns every item whose vector `loss` reads, some of them repeatedly."""
  negatives, _ = _negatives(batch, corpus, counted, key, config)
  read = (batch.tokens.item, batch.targets.item, negatives.item)
  return jnp.concatenate([jnp.asarray(item).reshape(-1) for item in read])


def _embedder(
  bound: pinrec.PinRec,
  corpus: Corpus,
  read: int,
  features: Callable[[Int[AnyArray, "*n"]], items.ItemFeatures] | None,
) -> Callable[[Int[AnyArray, "*n"]], Float[Array, "*n d"]]:
  """Returns what embeds items; each of them once where those are fewer.

  Args:
    bound: the model with its parameters.
    corpus: the log's items.
    read: how many item vectors the step takes, over all devices.
    features: of items, as of `loss`.
  """
  everything = len(corpus.features.rows) * jax.device_count() <= read
  if features is None and everything and not bound.config.id_dropout:
    whole = bound.embed(corpus.features, train=True)
    return lambda item: whole[item]
  take = features or corpus.features.take
  return lambda item: bound.embed(take(item), train=True)


def _queried(
  bound: pinrec.PinRec,
  batch: histories.Batch,
  corpus: Corpus,
  key: PRNGKeyArray,
  config: config_lib.Loss,
) -> Asked:
  """Returns what is asked for, and weighs 0 where nothing may be met."""
  ahead = meeting.seconds_ahead(batch)
  bucket = bound.bucket(ahead)
  meets = meeting.acceptable(batch, ahead, bucket, config, bound.buckets)
  if config.objective == "multi_token":
    meets = meeting.one_bucket(jax.random.fold_in(key, 1), meets)
  weight = jnp.any(meets, -1).astype(jnp.float32)
  found = asked(
    key,
    batch,
    bucket,
    bound.age_bucket(batch.targets.age),
    meets,
    corpus.outcome_share,
    config,
  )
  if bound.config.conditioned:
    return found._replace(weight=weight * found.weight)
  # Of several targets a model that is told no condition may meet any.
  if config.objective in config_lib.ONE_TARGET:
    meets = found.meets
  return found._replace(meets=meets, weight=weight)


def loss(
  model: pinrec.PinRec,
  params: Params,
  batch: histories.Batch,
  corpus: Corpus,
  counted: sketch.CountMin | None,
  key: PRNGKeyArray,
  config: config_lib.Loss,
  features: Callable[[Int[AnyArray, "*n"]], items.ItemFeatures] | None = None,
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
    features: of items; by default the corpus's own.
  """
  condition_key, _, dropout_key = jax.random.split(key, 3)
  tokens, targets = batch
  bound = model.bind({"params": params}, rngs={"dropout": dropout_key})
  condition, meets, weight = _queried(
    bound, batch, corpus, condition_key, config
  )
  negatives, target_expected = _negatives(batch, corpus, counted, key, config)

  number = tokens.item.size + targets.item.size + negatives.item.size
  embedded = _embedder(bound, corpus, number, features)
  # As one, so that their gradients are one and reduced over devices once.
  read, met = jnp.split(
    embedded(jnp.concatenate([tokens.item, targets.item], -1)), 2, -2
  )
  states, _ = bound.states(read, tokens, train=True)
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
      vector=met,
      item=targets.item,
      meets=meets,
      bias=bias,
    ),
    softmax.Scored(
      vector=embedded(negatives.item),
      item=negatives.item,
      log_expected=negatives.log_expected,
    ),
    temperature=temperature,
    config=config,
  )
  count = jnp.maximum(jnp.sum(weight), 1)
  mean = jnp.sum(losses * weight) / count
  some = jnp.sum(weight > 0)
  return mean, {"loss": mean, "temperature": temperature, "targets": some}
