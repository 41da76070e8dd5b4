import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import pipeline
from pinrec_jax.losses import (
  negative_sampling,
  objectives,
  positives,
  sketch,
  softmax,
)
from pinrec_jax.model import pinrec
from pinrec_jax.training import optimizer, training_data
from pinrec_jax.training import state as state_lib

EDGES = (43_201, 100_000)  # the world's events are half a day apart
HALF_DAY = 43_200
DAY = 2 * HALF_DAY


def _config(**loss) -> config_lib.Config:
  config = config_lib.Config(
    model=config_lib.Model(
      hidden_dim=16,
      num_heads=2,
      embedding_dim=8,
      table_size=64,
      offset_edges=EDGES,
      age_edges=tuple(range(2 * DAY, 20 * DAY, 2 * DAY)),
    ),
    loss=config_lib.Loss(
      **{"in_batch": 12, "uniform": 9, "window": 2 * HALF_DAY, **loss}
    ),
  )
  config.data.sequence_length, config.train.batch_size = 12, 6
  config.data.session_gap = HALF_DAY
  return config


@pytest.fixture(scope="module")
def batch(world):
  rows, corpus = training_data.packed(_config(), world)
  batch = next(pipeline.batches(rows, batch=6, seed=0))
  return batch, jax.tree.map(jnp.asarray, corpus)


def _bucket(seconds):
  return 0 if seconds < 0 else 1 + sum(seconds >= edge for edge in EDGES)


def _acceptable(batch, config):
  """The definitions, one pair at a time: [b q l]."""
  tokens, targets = batch
  rows, length = tokens.item.shape
  kinds = 1 + len(EDGES) + 1 if config.objective == "multi_token" else 1
  meets = np.zeros((rows, kinds * length, length), bool)
  ahead = np.full((rows, length, length), -1)
  for row in range(rows):
    for here in range(length):
      for there in range(length):
        one, other = tokens.time[row, here], targets.time[row, there]
        if one and other:
          ahead[row, here, there] = int(other) - int(one)
        own = tokens.segment[row, here] == tokens.segment[row, there] > 0
        if not own or targets.item[row, there] == 0 or there < here:
          continue
        far = ahead[row, here, there]
        following = here == there
        session = targets.session[row]
        if config.objective == "multi_token":
          meets[row, here, there] = following
          if far >= 0:
            meets[row, _bucket(far) * length + here, there] = True
        else:
          meets[row, here, there] = {
            "next_item": following,
            "session": session[here] == session[there],
            "windowed": following or 0 <= far <= config.window,
            "dense": following or 0 <= far <= config.window,
          }[config.objective]
  return meets, ahead


def _age(batch):
  age = jnp.asarray(batch.targets.age)
  return jnp.where(age < 0, 0, 1 + age // (2 * DAY))


@functools.partial(jax.jit, static_argnames="config")
def _asked(batch, corpus, config, key=0):
  ahead = positives.seconds_ahead(batch)
  edges = jnp.array(EDGES)
  bucket = jnp.where(
    ahead < 0, 0, 1 + jnp.searchsorted(edges, ahead, side="right")
  )
  meets = positives.acceptable(batch, ahead, bucket, config, len(EDGES) + 1)
  asked = objectives.asked(
    jax.random.key(key),
    batch,
    bucket,
    _age(batch),
    meets,
    corpus.outcome_share,
    config,
  )
  return ahead, bucket, meets, asked


@pytest.mark.parametrize("objective", config_lib.OBJECTIVES)
def test_an_engagement_that_several_places_precede_is_met_once(
  world, objective
):
  config = _config(objective=objective)
  config.data.history_events = "exposures"
  rows, _ = training_data.packed(config, world)
  batch = next(pipeline.batches(rows, batch=6, seed=0))
  ahead = positives.seconds_ahead(batch)
  bucket = jnp.where(ahead < 0, 0, 1)
  meets = np.asarray(
    positives.acceptable(batch, ahead, bucket, config.loss, buckets=1)
  )
  # One user's events have different times in this world.
  tokens, targets = batch
  same = (
    (targets.time[:, :, None] == targets.time[:, None])
    & (tokens.segment[:, :, None] == tokens.segment[:, None])
    & (targets.item > 0)[:, :, None]
  )
  assert (same.sum(-1) > 1).any()
  times = np.einsum("bql,blm->bqm", meets.astype(int), same.astype(int))
  assert times.max() == 1


@pytest.mark.parametrize("objective", config_lib.OBJECTIVES)
def test_what_may_be_met_is_as_defined(batch, objective):
  batch, corpus = batch
  config = _config(objective=objective).loss
  ahead, _, meets, _ = _asked(batch, corpus, config)
  want, apart = _acceptable(batch, config)
  np.testing.assert_array_equal(ahead, apart)
  np.testing.assert_array_equal(meets, want)
  several = (want.sum(-1) > 1).any()
  assert several == (objective != "next_item")


@pytest.mark.parametrize("objective", config_lib.OBJECTIVES)
def test_all_that_is_met_satisfies_the_condition(batch, objective):
  (tokens, targets), corpus = batch
  batch = batch[0]
  config = _config(objective=objective).loss
  kept = 0
  for key in range(3):
    _, bucket, meets, (condition, met, _) = _asked(batch, corpus, config, key)
    met, condition = np.asarray(met), jax.tree.map(np.asarray, condition)
    length = tokens.item.shape[1]
    for row, query, there in np.argwhere(met):
      assert meets[row, query, there]
      asked = [part[row, query] for part in condition]
      has = (
        bucket[row, query % length, there],
        targets.surface[row, there],
        targets.item_type[row, there],
        _age(batch)[row, there],
      )
      if asked[0]:
        assert targets.outcomes[row, there, asked[0] - 1]
      wanted_parts = (asked[2], asked[1], *asked[3:])
      for wanted, value in zip(wanted_parts, has, strict=True):
        assert wanted in (0, value + 1)
      if objective == "multi_token":  # the next one whenever it comes
        assert asked[2] == (query >= length) * (query // length + 1)
      kept += 1
    # A query that may meet something meets something.
    np.testing.assert_array_equal(met.any(-1), np.asarray(meets).any(-1))
    if objective in config_lib.ONE_TARGET:
      assert met.sum(-1).max() == 1
  assert kept > 50


def test_a_drawn_target_is_any_of_those_that_may_be_met(batch):
  batch, corpus = batch
  config = _config(objective="dense").loss
  drawn = np.stack(
    [np.asarray(_asked(batch, corpus, config, k)[3].meets) for k in range(40)]
  )
  meets = np.asarray(_asked(batch, corpus, config)[2])
  many = meets.sum(-1) == 2
  assert many.sum() > 5
  rate = drawn.mean(0)[many][meets[many]]
  np.testing.assert_allclose(rate.mean(), 0.5)
  assert 0.15 < rate.min() < rate.max() < 0.85


def test_rare_outcomes_are_drawn_more_often_as_asked(batch):
  (_, targets), corpus = batch
  both = np.zeros_like(targets.outcomes)
  both[..., :2] = 1
  changed = batch[0]._replace(targets=targets._replace(outcomes=both))
  share = corpus._replace(outcome_share=jnp.array([0.9, 0.09, 0.01]))

  def rate(power):
    config = _config(rare_outcomes=power, condition_drop=0.0).loss
    drawn = [
      np.asarray(_asked(changed, share, config, k)[3].condition.outcome)
      for k in range(150)
    ]
    return (np.stack(drawn)[:, targets.item > 0] == 2).mean()

  np.testing.assert_allclose(rate(0.0), 1 / 2, atol=0.03)
  np.testing.assert_allclose(rate(1.0), 10 / 11, atol=0.03)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_an_outcome_is_learned_from_all_its_targets_alike(batch, power):
  (_, targets), corpus = batch
  # Every target has the first outcome, some the second or the third too.
  kind = np.arange(targets.item.size).reshape(targets.item.shape) % 3
  outcomes = np.stack([kind >= 0, kind == 1, kind == 2], -1).astype(np.uint8)
  changed = batch[0]._replace(targets=targets._replace(outcomes=outcomes))
  share = corpus._replace(outcome_share=jnp.array([0.6, 0.3, 0.1]))
  config = _config(rare_outcomes=power, condition_drop=0.2).loss
  drawn = [_asked(changed, share, config, k)[3] for k in range(400)]
  outcome = np.stack([np.asarray(d.condition.outcome) for d in drawn])
  weight = np.stack([np.asarray(d.weight) for d in drawn])
  # Beside what all of a draw are divided by.
  weight /= np.where(outcome == 1, weight, 0).sum((1, 2), keepdims=True)
  real = targets.item > 0
  each = [
    (weight * (outcome == 1))[:, real & (kind == k)].mean() for k in range(3)
  ]
  np.testing.assert_allclose(each, np.mean(each), rtol=0.1)
  chance = [(outcome == 1)[:, real & (kind == k)].mean() for k in range(3)]
  assert chance[0] > 1.3 * max(chance[1:])  # which is not so of the draws


def test_each_part_is_left_out_on_its_own(batch):
  batch, corpus = batch
  config = _config(condition_drop=0.3).loss
  drawn = [_asked(batch, corpus, config, k)[3].condition for k in range(60)]
  real = batch.targets.item > 0
  left = [
    np.stack([np.asarray(getattr(d, part) == 0)[real] for d in drawn])
    for part in ("surface", "offset", "item_type", "age")
  ]
  for part in left:
    np.testing.assert_allclose(part.mean(), 0.3, atol=0.03)
  np.testing.assert_allclose((left[0] & left[1]).mean(), 0.09, atol=0.02)


def test_one_of_those_marked_is_drawn_each_as_often_as_another():
  among = jnp.asarray(
    [[0, 1, 0, 1, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1]], bool
  )
  keys = jax.random.split(jax.random.key(0), 6000)
  drawn = np.asarray(jax.vmap(lambda key: positives.one_of(key, among))(keys))
  assert (drawn[:, 1] == 0).all()
  rate = np.stack([(drawn == place).mean(0) for place in range(5)], -1)
  expected = np.asarray(among) / np.maximum(among.sum(-1, keepdims=True), 1)
  expected[1, 0] = 1
  np.testing.assert_allclose(rate, expected, atol=0.02)


def test_one_bucket_is_drawn_of_all_that_hold_a_target(batch):
  batch, corpus = batch
  config = _config(objective="multi_token").loss
  every = np.asarray(_asked(batch, corpus, config)[2])
  length = every.shape[2]
  every = every.reshape(len(every), -1, length, length)
  held = every[:, 1:].any(-1).sum(1)
  times = np.zeros(every.shape[:3])
  for key in range(60):
    drawn = positives.one_bucket(jax.random.key(key), _flat(every))
    meets = np.asarray(drawn)
    np.testing.assert_array_equal(meets[:, :length], every[:, 0])
    drawn = meets[:, None, length:] == every[:, 1:]
    same = drawn.all(-1) & every[:, 1:].any(-1)
    np.testing.assert_array_equal(same.any(1), held > 0)
    times[:, 1:] += same / np.maximum(same.sum(1, keepdims=True), 1)
  several = (held > 1)[:, None] & every[:, 1:].any(-1)
  assert several.sum() > 10
  rate = times[:, 1:] * held[:, None] / 60
  np.testing.assert_allclose(rate[several].mean(), 1, atol=0.02)
  assert 0.3 < rate[several].min() < rate[several].max() < 1.7


def _flat(every):
  return jnp.asarray(every.reshape(len(every), -1, every.shape[-1]))


def _reference(model, params, batch, corpus, config, key):
  """The whole loss in float64, a query and a target at a time."""
  condition_key, negative_key, _ = jax.random.split(key, 3)
  tokens, targets = batch
  bound = model.bind({"params": params})
  ahead = positives.seconds_ahead(batch)
  bucket = bound.bucket(ahead)
  meets = positives.acceptable(batch, ahead, bucket, config, bound.buckets)
  if config.objective == "multi_token":
    meets = positives.one_bucket(jax.random.fold_in(condition_key, 1), meets)
  weight = np.asarray(meets.any(-1), float)
  condition, chosen, counts = objectives.asked(
    condition_key, batch, bucket, bound.age_bucket(targets.age), meets,
    corpus.outcome_share, config,
  )  # fmt: skip
  if model.config.conditioned:
    meets, weight = chosen, weight * np.asarray(counts, float)
  mixture = negative_sampling.Mixture(
    corpus.share.shape[0] - 1,
    lambda item: corpus.share[item],
    lambda item: corpus.shown_share[item],
  )
  negatives, expected = mixture.draw(
    negative_key, targets.item.reshape(-1), targets.shown.reshape(-1), config
  )
  states, _ = bound.states(
    bound.embed(corpus.features.take(tokens.item)), tokens
  )
  times = meets.shape[1] // meets.shape[2]
  query = bound.queries(jnp.tile(states, (1, times, 1)), condition)
  item = bound.embed(corpus.features)
  query, item, meets = (np.asarray(x, np.float64) for x in (query, item, meets))
  expected = np.asarray(expected, np.float64).reshape(targets.item.shape)
  rate = float(bound.temperatures())
  losses, weights = [], []
  for row, q in np.argwhere(meets.any(-1)):
    own = [t for t in range(meets.shape[2]) if meets[row, q, t]]
    hidden = {0, *(int(targets.item[row, t]) for t in own)}
    rest = 0.0
    for n, log_expected in zip(
      negatives.item.tolist(), negatives.log_expected.tolist(), strict=True
    ):
      if n not in hidden:
        bias = 0 if config.logq == "none" else log_expected
        rest += np.exp(query[row, q] @ item[n] / rate - bias)
    weights.append(weight[row, q])
    each = []
    for t in own:
      score = query[row, q] @ item[targets.item[row, t]] / rate
      if config.logq == "classic":
        score -= expected[row, t]
      each.append(np.log(np.exp(score) + rest) - score)
    if config.objective in config_lib.ONE_TARGET or config.relax == "mean":
      losses.append(np.mean(each))
    elif config.relax == "min":
      losses.append(np.min(each))
    else:
      soft = config.softness
      losses.append(-soft * np.log(np.mean(np.exp(-np.array(each) / soft))))
  return np.average(losses, weights=weights)


@pytest.mark.parametrize(
  "loss",
  [
    {"objective": "next_item"},
    {"objective": "next_item", "logq": "classic"},
    {"objective": "next_item", "logq": "none", "impressions": 7},
    {"objective": "next_item", "full": True},
    {"objective": "dense", "impressions": 7},
    {"objective": "windowed", "relax": "mean"},
    {"objective": "windowed", "relax": "softmin", "block": 5},
    {"objective": "session", "relax": "min", "chunk": 24},
    {"objective": "multi_token", "relax": "min", "logq": "classic"},
    {"objective": "multi_token", "relax": "softmin", "block": 4},
    # An unconditioned model may meet any of several targets.
    {"objective": "windowed", "relax": "mean", "conditioned": False},
  ],
  ids=lambda loss: "-".join(map(str, loss.values())),
)
def test_equals_the_definition_in_float64(world, batch, loss):
  batch, corpus = batch
  conditioned = loss.pop("conditioned", True)
  config = _config(**loss)
  config.model.dropout, config.model.conditioned = 0.0, conditioned
  model = pinrec.of_config(config, world.vocabulary)
  params = state_lib.create(
    model, optimizer.build(config.train), config.loss
  ).params
  key = jax.random.key(5)
  value = functools.partial(
    objectives.loss, model, batch=batch, corpus=corpus, counted=None, key=key,
    config=config.loss,
  )  # fmt: skip
  (got, metrics), slope = jax.jit(
    jax.value_and_grad(lambda p: value(p), has_aux=True)
  )(params)
  want = _reference(model, params, batch, corpus, config.loss, key)
  np.testing.assert_allclose(got, want, rtol=2e-5)
  assert metrics["targets"] > 20
  leaves = jax.tree.leaves(slope)
  assert all(np.isfinite(leaf).all() for leaf in leaves)
  assert any(np.abs(leaf).max() > 1e-4 for leaf in leaves)


def test_items_embedded_once_each_give_the_same_loss(world, batch, monkeypatch):
  """As they are where the catalog is smaller than what a step reads."""
  monkeypatch.setattr(jax, "device_count", lambda: 1)
  batch, corpus = batch
  config = _config()
  model = pinrec.of_config(config, world.vocabulary)
  params = state_lib.create(
    model, optimizer.build(config.train), config.loss
  ).params
  embedded = []

  class Counting(pinrec.PinRec):
    def embed(self, features, *, train=False):
      embedded.append(features.rows.shape[:-1])
      return super().embed(features, train=train)

  def loss(params, features):
    return objectives.loss(
      Counting(model.config, model.vocabulary, model.positions),
      params, batch, corpus, None, jax.random.key(5), config.loss, features,
    )[0]  # fmt: skip

  one, each = (
    jax.value_and_grad(loss)(params, features)
    for features in (None, corpus.features.take)
  )
  assert embedded[0] == corpus.share.shape
  rows, length = batch.tokens.item.shape
  assert embedded[1] == (rows, 2 * length)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
    one,
    each,
  )


def test_a_minimum_learns_from_the_target_it_picks_alone():
  rng = np.random.default_rng(0)
  vectors = rng.normal(size=(1, 3, 4)).astype(np.float32)
  query = vectors[:, 1:2] * 0.9  # nearest to the second target

  def value(targets):
    return softmax.sampled_softmax(
      query,
      softmax.Targets(
        targets,
        np.array([[1, 2, 3]]),
        np.ones((1, 1, 3), bool),
        np.zeros((1, 3), np.float32),
      ),
      softmax.Scored(
        rng.normal(size=(5, 4)).astype(np.float32),
        np.arange(4, 9),
        np.zeros(5, np.float32),
      ),
      temperature=1.0,
      config=config_lib.Loss(objective="session"),
    ).sum()

  slope = np.abs(jax.grad(value)(vectors)).sum(-1)[0]
  assert slope[1] > 0
  assert slope[0] == slope[2] == 0


def test_a_sketch_as_wide_as_the_catalog_gives_the_exact_loss(world, batch):
  batch, corpus = batch
  config = _config(sketch_columns=4096)
  model = pinrec.of_config(config, world.vocabulary)
  params = state_lib.create(
    model, optimizer.build(config.train), config.loss
  ).params
  items = len(world.items.ids)
  counted = sketch.empty(4, 4096)
  counts = np.round(np.asarray(corpus.share) * 1000)
  for _ in range(2):
    counted = counted.add(np.repeat(np.arange(items), counts.astype(int)))
  exact = corpus._replace(share=jnp.asarray(counts / counts.sum()))
  losses = [
    objectives.loss(
      model, params, batch, exact, one, jax.random.key(0), config.loss
    )[0]
    for one in (None, counted)
  ]
  np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
