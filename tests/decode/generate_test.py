import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import histories
from pinrec_jax.decode import generate
from pinrec_jax.model import head, item_embedder, pinrec

LENGTH, STEPS = 10, 4


@pytest.fixture(scope="module")
def parts(world, request):
  config = config_lib.Config(
    model=config_lib.Model(
      backbone=getattr(request, "param", "transformer"),
      hidden_dim=16,
      num_heads=2,
      embedding_dim=8,
      table_size=64,
    )
  )
  config.data.sequence_length = LENGTH + STEPS
  model = pinrec.of_config(config, world.vocabulary)
  table = item_embedder.features(world.items, 2, 64)
  read = [histories.latest(world.events[n], LENGTH) for n in range(1, 6)]
  tokens = histories.serving(read, LENGTH)
  params = model.init(jax.random.key(0), table, tokens)["params"]
  vectors = model.apply({"params": params}, table, method="embed")
  return model, params, np.asarray(vectors)[tokens.item], tokens


def _wanted(
  users=5, feedback=(1.0, 0.0), surface=0, offset=-1, item_type=0, age=-1
):
  return generate.Wanted(
    outcome=np.array([1, 3], np.int32),
    offset=np.array([-1, offset], np.int32),
    feedback=np.array(feedback, np.float32),
    surface=np.full(users, surface, np.int32),
    item_type=np.array(item_type, np.int32),
    age=np.array(age, np.int32),
  )


def _keys(seed=0):
  return jax.random.split(jax.random.key(seed), 5)


def _reference(model, params, vectors, tokens, wanted, fed):
  """No cache: the whole history is read anew at every step."""
  apply = functools.partial(
    jax.jit(model.apply, static_argnames="method"), {"params": params}
  )
  found = []
  for _ in range(STEPS):
    states, _ = apply(vectors, tokens, method="states")
    outcomes = []
    for outcome, offset in zip(wanted.outcome, wanted.offset, strict=True):
      bucket = int(apply(offset, method="bucket"))
      condition = head.Condition(
        jnp.full((len(vectors),), outcome),
        wanted.surface,
        jnp.full((len(vectors),), bucket + 1 if bucket else 0),
        jnp.full((len(vectors),), wanted.item_type),
        jnp.full((len(vectors),), 2 if wanted.age == 0 else 0),
      )
      outcomes.append(apply(states[:, -1], condition, method="queries"))
    found.append(np.stack(outcomes, 1))
    last = jax.tree.map(lambda c: c[:, -1:], tokens)
    drawn = jnp.full((len(vectors),), fed)
    following = generate.following(last, wanted, drawn)
    tokens = jax.tree.map(
      lambda past, new: jnp.concatenate([past, new], 1), tokens, following
    )
    vectors = jnp.concatenate([vectors, outcomes[fed][:, None]], 1)
  return np.stack(found, 1)


@pytest.mark.parametrize("parts", config_lib.BACKBONES, indirect=True)
@pytest.mark.parametrize("fed", [0, 1])
@pytest.mark.parametrize(
  ("surface", "offset", "item_type", "age"), [(0, -1, 0, -1), (2, 3600, 1, 0)]
)
def test_cached_equals_uncached(parts, fed, surface, offset, item_type, age):
  wanted = _wanted(
    feedback=np.eye(2)[fed],
    surface=surface,
    offset=offset,
    item_type=item_type,
    age=age,
  )
  got = generate.generate(*parts, wanted, _keys(), steps=STEPS)
  model, params, vectors, tokens = parts
  want = _reference(model, params, vectors, tokens, wanted, fed)
  assert got.shape == (5, STEPS, 2, 8)
  np.testing.assert_allclose(got, want, atol=1e-5)


def test_the_first_steps_of_more_are_those_of_few(parts):
  few = generate.generate(*parts, _wanted(), _keys(), steps=1)
  more = generate.generate(*parts, _wanted(), _keys(), steps=STEPS)
  np.testing.assert_allclose(more[:, :1], few, atol=1e-5)
  assert np.abs(more[:, 1] - more[:, 0]).max() > 1e-3


def test_users_of_a_batch_do_not_mix(parts):
  model, params, vectors, tokens = parts
  whole = generate.generate(*parts, _wanted(), _keys(), steps=2)
  one = generate.generate(
    model,
    params,
    vectors[2:3],
    jax.tree.map(lambda c: c[2:3], tokens),
    _wanted(users=1),
    _keys()[2:3],
    steps=2,
  )
  np.testing.assert_allclose(one[0], whole[2], atol=1e-5)


def test_sampled_feedback_follows_the_key_and_its_odds(parts):
  def after(feedback, seed):
    wanted = _wanted(feedback=feedback)
    found = generate.generate(*parts, wanted, _keys(seed), steps=2)
    return np.asarray(found)[:, 1]

  first, second = after((1.0, 0.0), 0), after((0.0, 1.0), 0)
  mixed = np.stack([after((0.5, 0.5), seed) for seed in range(12)])
  near_first = np.abs(mixed - first).max((-1, -2)) < 1e-4
  near_second = np.abs(mixed - second).max((-1, -2)) < 1e-4
  assert (near_first ^ near_second).all()  # each draw fed back one of the two
  assert near_first.any()
  assert near_second.any()
  np.testing.assert_array_equal(after((0.5, 0.5), 3), mixed[3])


def test_the_event_fed_back_says_what_it_stands_for(parts):
  tokens = parts[3]
  last = jax.tree.map(lambda c: jnp.asarray(c[:, -1:]), tokens)
  drawn = jnp.array([0, 1, 0, 1, 0])
  plain = generate.following(last, _wanted(), drawn)
  np.testing.assert_array_equal(plain.position, last.position + 1)
  np.testing.assert_array_equal(plain.after, 0)
  np.testing.assert_array_equal(plain.surface, last.surface)
  np.testing.assert_array_equal(plain.time, 0)
  np.testing.assert_array_equal(plain.gap, -1)
  assert plain.actions[1, 0].tolist() == [0, 0, 1, 0]
  told = generate.following(last, _wanted(surface=2, offset=60), drawn)
  np.testing.assert_array_equal(told.surface, 1)
  known = np.asarray(last.time) > 0
  assert known.any()
  assert not known.all()
  # Of the two queries the second one alone names a time ahead.
  dated = known & np.array([0, 1, 0, 1, 0], bool)[:, None]
  assert dated.any()
  np.testing.assert_array_equal(
    np.asarray(told.time)[dated], np.asarray(last.time)[dated] + 60
  )
  np.testing.assert_array_equal(np.asarray(told.gap), np.where(dated, 60, -1))
