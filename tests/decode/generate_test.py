import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import histories
from pinrec_jax.decode import conditions as conditions_lib
from pinrec_jax.decode import generate
from pinrec_jax.model import backbone, head, item_embedder, pinrec

LENGTH, STEPS, USERS = 10, 4, 5


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
  read = [world.events[n].where(slice(1 - LENGTH, None)) for n in range(1, 6)]
  tokens = histories.serving(read, LENGTH)
  params = model.init(jax.random.key(0), table, tokens)["params"]
  vectors = model.apply({"params": params}, table, method="embed")
  return model, params, np.asarray(vectors)[tokens.item], tokens


def _conditions(
  users=USERS, fed_back: Any = 0, surface=0, offset=-1, item_type=0, age=-1
):
  """The same conditions for all requests: two queries each."""
  return conditions_lib.Conditions(
    outcome=np.array([1, 3], np.int32),
    offset=np.tile(np.array([-1, offset], np.int32), (users, 1)),
    fed_back=np.full(users, fed_back, np.int32),
    surface=np.full(users, surface, np.int32),
    item_type=np.full(users, item_type, np.int32),
    age=np.full(users, age, np.int32),
  )


def _reference(parts, conditions):
  """Reads the whole history at every step, without a cache."""
  model, params, vectors, tokens = parts
  apply = functools.partial(
    jax.jit(model.apply, static_argnames="method"), {"params": params}
  )
  rows, found = np.arange(len(vectors)), []
  for _ in range(STEPS):
    states, _ = apply(vectors, tokens, method="states")
    queries = []
    for number, outcome in enumerate(conditions.outcome):
      bucket = apply(conditions.offset[:, number], method="bucket")
      age = apply(conditions.age, method="age_bucket")
      condition = head.Condition(
        jnp.full((len(vectors),), outcome),
        conditions.surface,
        jnp.where(bucket > 0, bucket + 1, 0),
        conditions.item_type,
        jnp.where(age > 0, age + 1, 0),
      )
      queries.append(apply(states[:, -1], condition, method="queries"))
    found.append(np.stack(queries, 1))
    last = jax.tree.map(lambda c: c[:, -1:], tokens)
    new = generate.next_token(last, conditions)
    tokens = jax.tree.map(
      lambda past, new: jnp.concatenate([past, new], 1), tokens, new
    )
    vector = found[-1][rows, conditions.fed_back]
    vectors = jnp.concatenate([vectors, vector[:, None]], 1)
  return np.stack(found, 1)


@pytest.mark.parametrize("parts", list(backbone.BLOCKS), indirect=True)
@pytest.mark.parametrize("fed_back", [0, 1])
@pytest.mark.parametrize(
  ("surface", "offset", "item_type", "age"), [(0, -1, 0, -1), (2, 3600, 1, 0)]
)
def test_generation_with_a_cache_equals_generation_without(
  parts, fed_back, surface, offset, item_type, age
):
  conditions = _conditions(
    fed_back=fed_back,
    surface=surface,
    offset=offset,
    item_type=item_type,
    age=age,
  )
  got = generate.generate(*parts, conditions, steps=STEPS)
  want = _reference(parts, conditions)
  assert got.shape == (USERS, STEPS, 2, 8)
  np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("parts", list(backbone.BLOCKS), indirect=True)
def test_requests_of_a_batch_do_not_influence_each_other(parts):
  """All conditions differ from row to row, as does the fed-back query."""
  model, params, vectors, tokens = parts
  offset = np.array([[-1, 60], [3600, -1], [86_400, 0], [-1, -1], [90, 30]])
  conditions = conditions_lib.Conditions(
    outcome=np.array([1, 0], np.int32),
    offset=offset.astype(np.int32),
    fed_back=np.array([0, 1, 0, 1, 1], np.int32),
    surface=np.array([0, 1, 2, 3, 0], np.int32),
    item_type=np.array([0, 1, 2, 0, 1], np.int32),
    age=np.array([-1, 0, 86_400, 10**6, -1], np.int32),
  )
  together = generate.generate(*parts, conditions, steps=3)
  for row in range(USERS):
    own_row = functools.partial(
      jax.tree.map, lambda column, row=row: column[row : row + 1]
    )
    alone = generate.generate(
      model,
      params,
      own_row(vectors),
      own_row(tokens),
      own_row(conditions)._replace(outcome=conditions.outcome),
      steps=3,
    )
    np.testing.assert_allclose(alone[0], together[row], atol=1e-5)
  # Other conditions of one row change that row alone.
  other = conditions._replace(surface=np.array([0, 1, 2, 0, 0], np.int32))
  changed = generate.generate(*parts, other, steps=3)
  moved = np.abs(changed - together).max((1, 2, 3)) > 1e-5
  np.testing.assert_array_equal(moved, np.arange(USERS) == 3)


def test_fewer_steps_give_the_first_steps_of_more(parts):
  few = generate.generate(*parts, _conditions(), steps=1)
  more = generate.generate(*parts, _conditions(), steps=STEPS)
  np.testing.assert_allclose(more[:, :1], few, atol=1e-5)
  assert np.abs(more[:, 1] - more[:, 0]).max() > 1e-3


def test_the_next_token_has_the_outcome_surface_and_time_of_its_query(parts):
  tokens = parts[3]
  last = jax.tree.map(lambda c: jnp.asarray(c[:, -1:]), tokens)
  fed_back = np.array([0, 1, 0, 1, 0], np.int32)
  plain = generate.next_token(last, _conditions(fed_back=fed_back))
  np.testing.assert_array_equal(plain.position, last.position + 1)
  np.testing.assert_array_equal(plain.after, 0)
  np.testing.assert_array_equal(plain.surface, last.surface)
  np.testing.assert_array_equal(plain.time, 0)
  np.testing.assert_array_equal(plain.gap, -1)
  assert plain.actions[1, 0].tolist() == [0, 0, 1, 0]
  dated = generate.next_token(
    last, _conditions(fed_back=fed_back, surface=2, offset=60)
  )
  np.testing.assert_array_equal(dated.surface, 1)
  known = np.asarray(last.time) > 0
  assert known.any()
  assert not known.all()
  # Only the second query has an offset.
  has_time = known & np.array([0, 1, 0, 1, 0], bool)[:, None]
  assert has_time.any()
  np.testing.assert_array_equal(
    np.asarray(dated.time)[has_time], np.asarray(last.time)[has_time] + 60
  )
  np.testing.assert_array_equal(
    np.asarray(dated.gap), np.where(has_time, 60, -1)
  )
