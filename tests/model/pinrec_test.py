import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import histories, schema
from pinrec_jax.model import (
  attention,
  backbone,
  head,
  item_embedder,
  pinrec,
)

LENGTH = 10


def _config(**model) -> config_lib.Config:
  sizes = {
    "hidden_dim": 16,
    "num_heads": 2,
    "num_layers": 2,
    "embedding_dim": 8,
    "table_size": 64,
  }
  config = config_lib.Config(model=config_lib.Model(**{**sizes, **model}))
  config.data.sequence_length = LENGTH
  return config


def _tokens(world, users, length=LENGTH) -> schema.Tokens:
  read = [world.events[n].where(slice(1 - length, None)) for n in range(users)]
  return histories.serving(read, length)


@pytest.fixture
def parts(world, request):
  config = _config(**getattr(request, "param", {}))
  model = pinrec.of_config(config, world.vocabulary)
  features = item_embedder.features(world.items, 2, config.model.table_size)
  tokens = _tokens(world, 4)
  params = model.init(jax.random.key(0), features, tokens)
  return model, params, features, tokens


every_backbone = pytest.mark.parametrize(
  "parts",
  [{"backbone": name} for name in backbone.BLOCKS],
  ids=list(backbone.BLOCKS),
  indirect=True,
)


@functools.partial(jax.jit, static_argnames=("model", "last"))
def _states(model, params, features, tokens, cache=None, last=False):
  features = jax.tree.map(jnp.asarray, features)
  vectors = model.apply(params, features.take(tokens.item), method="embed")
  return model.apply(params, vectors, tokens, cache, last=last, method="states")


def _empty_cache(model):
  config = model.config
  return attention.empty_cache(
    4, LENGTH, config.num_layers, config.num_heads, config.hidden_dim, "float32"
  )


@every_backbone
def test_a_state_depends_on_the_past_alone(parts):
  model, params, features, tokens = parts
  vectors = model.apply(params, features.take(tokens.item), method="embed")

  @jax.jit
  @jax.grad
  def slope_of(vectors, at):
    states, _ = model.apply(params, vectors, tokens, method="states")
    real = (jnp.asarray(tokens.segment)[:, at] > 0)[:, None]
    return jnp.sum(states[:, at] ** 2 * real * jnp.arange(16))

  for at in (4, 7):
    slope = np.abs(slope_of(vectors, at)).sum(-1)
    # A real position reads every event before it. The start token has no item
    # vector.
    read = (tokens.position > 0) & (tokens.segment[:, at] > 0)[:, None]
    assert (slope[:, at + 1 :] == 0).all()
    assert read[:, : at + 1].any()
    assert (slope[:, : at + 1][read[:, : at + 1]] > 0).all()


@every_backbone
def test_users_of_a_row_do_not_influence_each_other(parts, world):
  model, params, features, _ = parts
  one, two = (
    histories.tokens(world.events[n].where(slice(-4, None))) for n in (0, 1)
  )
  alone, _ = _states(
    model, params, features, jax.tree.map(lambda c: c[None], two)
  )
  two = two._replace(segment=two.segment * 2)
  row = jax.tree.map(lambda *c: np.concatenate(c)[None], one, two)
  packed, _ = _states(model, params, features, row)
  np.testing.assert_allclose(
    packed[:, one.item.size :], alone, atol=1e-5, rtol=1e-5
  )


@every_backbone
def test_padding_changes_nothing(parts, world):
  model, params, features, _ = parts
  short = _tokens(world, 3, length=6)
  pad = [(0, 0), (3, 0)]
  wide = jax.tree.map(lambda c: np.pad(c, pad + [(0, 0)] * (c.ndim - 2)), short)
  narrow, _ = _states(model, params, features, short)
  padded, _ = _states(model, params, features, wide)
  real = short.segment > 0
  np.testing.assert_allclose(
    padded[:, 3:][real], narrow[real], atol=1e-5, rtol=1e-5
  )


@every_backbone
@pytest.mark.parametrize("split", [1, 4])
def test_reading_in_two_parts_with_a_cache_equals_reading_at_once(parts, split):
  model, params, features, tokens = parts
  whole, _ = _states(model, params, features, tokens)
  cache = _empty_cache(model)
  first = jax.tree.map(lambda c: c[:, :split], tokens)
  second = jax.tree.map(lambda c: c[:, split:], tokens)
  one, cache = _states(model, params, features, first, cache=cache)
  two, cache = _states(model, params, features, second, cache=cache)
  got = np.concatenate([one, two], axis=1)
  real = np.asarray(tokens.segment) > 0
  np.testing.assert_allclose(got[real], whole[real], atol=1e-5, rtol=1e-5)
  assert int(cache.length) == LENGTH


@every_backbone
def test_the_last_state_alone_equals_the_last_of_all(parts):
  """The caches are equal, too, so that later steps are."""
  model, params, features, tokens = parts

  def read(*, last):
    cache = _empty_cache(model)
    return _states(model, params, features, tokens, cache=cache, last=last)

  (whole, cache), (alone, same) = read(last=False), read(last=True)
  assert alone.shape[1] == 1
  np.testing.assert_allclose(alone[:, 0], whole[:, -1], atol=1e-5, rtol=1e-5)
  leaves = zip(jax.tree.leaves(same), jax.tree.leaves(cache), strict=True)
  for one, other in leaves:
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
  "parts",
  [{"head": "mlp"}, {"head": "shift"}, {"head": "state", "embedding_dim": 16}],
  ids=str,
  indirect=True,
)
def test_every_part_of_a_condition_changes_the_query(parts):
  model, params, _, _ = parts
  state = jax.random.normal(jax.random.key(1), (16,))

  def query(**wanted):
    condition = head.UNSPECIFIED._replace(
      **{part: jnp.array(value) for part, value in wanted.items()}
    )
    return model.apply(params, state, condition, method="queries")

  plain = query()
  np.testing.assert_allclose(np.linalg.norm(plain), 1, atol=1e-6)
  for part in head.Condition._fields:
    for value in (1, 2):
      assert np.abs(query(**{part: value}) - plain).max() > 1e-4


def test_a_shift_is_added_before_the_unit_norm(world):
  model = pinrec.of_config(_config(head="shift"), world.vocabulary)
  features = item_embedder.features(world.items, 2, 64)
  params = model.init(jax.random.key(0), features, _tokens(world, 2))
  own = jax.tree.map(np.asarray, params["params"]["head"])
  states = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
  condition = head.Condition(*(np.array([n, n, 0]) for n in (1, 2, 1, 0, 1)))
  hidden = states @ own["hidden"]["kernel"] + own["hidden"]["bias"]
  answer = np.asarray(jax.nn.gelu(hidden)) @ own["Dense_0"]["kernel"]
  answer += own["Dense_0"]["bias"]
  for name, wanted in condition._asdict().items():
    answer += own[name]["embedding"][wanted]
  answer /= np.linalg.norm(answer, axis=-1, keepdims=True)
  found = model.bind(params).queries(jnp.asarray(states), condition)
  np.testing.assert_allclose(found, answer, atol=1e-5)


@pytest.mark.parametrize("context", [False, True])
def test_a_state_head_predicts_in_the_space_of_items(world, context):
  """Without its blocks, it adds position and condition to the last item."""
  inputs = ("content", "context") if context else ("content",)
  config = _config(head="state", embedding_dim=16, inputs=inputs)
  model = pinrec.of_config(config, world.vocabulary)
  features, tokens = (
    item_embedder.features(world.items, 2, 64),
    _tokens(world, 3),
  )
  params = model.init(jax.random.key(0), features, tokens)
  params["params"]["backbone"] = {
    name: jax.tree.map(jnp.zeros_like, part) if "block" in name else part
    for name, part in params["params"]["backbone"].items()
  }
  own, bound = jax.tree.map(np.asarray, params["params"]), model.bind(params)
  last = jax.tree.map(lambda column: column[:, -1], tokens)
  x = 4 * np.asarray(bound.embed(features.take(last.item)))  # 4 is sqrt(16).
  x = x + own["position"][last.position]
  if context:
    when = bound.time_encoding(tokens.time, tokens.gap)[:, -1]
    projection = own["projection"]
    x += np.asarray(when) @ projection["kernel"] + projection["bias"]
    x += own["surface"]["embedding"][last.surface]
  x = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
  condition = head.UNSPECIFIED._replace(outcome=np.array(2))
  for name, wanted in condition._asdict().items():
    x = x + own["head"][name]["embedding"][wanted]
  x /= np.linalg.norm(x, axis=-1, keepdims=True)
  states, _ = _states(model, params, features, tokens)
  found = bound.queries(states[:, -1], condition)
  np.testing.assert_allclose(found, x, atol=1e-4)


def test_an_unconditioned_model_ignores_conditions(world):
  model = pinrec.of_config(_config(conditioned=False), world.vocabulary)
  features = item_embedder.features(world.items, 2, 64)
  params = model.init(jax.random.key(0), features, _tokens(world, 2))
  assert not any("outcome" in k for k in params["params"]["head"])
  state = jnp.ones((2, 16))
  ones, twos = (head.Condition(*5 * [jnp.full((2,), n)]) for n in (1, 2))
  np.testing.assert_array_equal(
    model.apply(params, state, ones, method="queries"),
    model.apply(params, state, twos, method="queries"),
  )


def test_bfloat16_predictions_are_close_to_float32(world):
  features = item_embedder.features(world.items, 2, 64)
  tokens = _tokens(world, 3)
  full = pinrec.of_config(_config(), world.vocabulary)
  half = dataclasses.replace(full, config=_config(dtype="bfloat16").model)
  params = full.init(jax.random.key(0), features, tokens)
  exact = full.bind(params)(features, tokens)
  rough = half.bind(params)(features, tokens)
  assert rough.dtype == jnp.float32  # Vectors are compared in float32.
  assert (exact * rough).sum(-1).min() > 0.99


@every_backbone
@pytest.mark.parametrize("remat", ["products", "inputs"])
def test_a_remat_policy_changes_time_and_memory_alone(parts, remat):
  model, params, features, tokens = parts
  vectors = model.apply(params, features.take(tokens.item), method="embed")
  config = dataclasses.replace(model.config, remat=remat)
  slopes, products = [], []
  for one in (model, model.clone(config=config)):

    def loss(params, one=one):
      states, _ = one.apply(
        params, vectors, tokens, train=True, method="states",
        rngs={"dropout": jax.random.key(1)},
      )  # fmt: skip
      return jnp.sum(states**2)

    slopes.append(jax.jit(jax.grad(loss))(params))
    products.append(str(jax.make_jaxpr(jax.grad(loss))(params)).count("dot_ge"))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *slopes
  )
  assert products[1] > products[0]


def test_times_ahead_and_ages_fall_into_buckets(parts):
  model, params, _, _ = parts
  gaps = jnp.array([-1, 0, 59, 60, 3599, 3600, 10**6])
  got = model.apply(params, gaps, method="bucket")
  assert got.tolist() == [0, 1, 1, 2, 2, 3, 4]
  day = 86_400
  ages = jnp.array([-1, 0, day - 1, day, 3 * day, 10 * day])
  got = model.apply(params, ages, method="age_bucket")
  assert got.tolist() == [0, 1, 1, 2, 3, 4]


def test_offset_edges_are_fitted_to_the_gaps_of_the_log(world):
  vocabulary = dataclasses.replace(
    world.vocabulary, gaps=tuple(range(10, 1000, 10))
  )
  model = pinrec.of_config(_config(offset_edges=()), vocabulary)
  assert model.edges == (250, 500, 750)
  assert model.buckets == 4
  with pytest.raises(ValueError, match="has 0 different gaps for 3 edges"):
    _ = pinrec.of_config(_config(offset_edges=()), world.vocabulary).edges


def test_ids_are_dropped_in_training_alone(world):
  model = pinrec.of_config(_config(id_dropout=0.5), world.vocabulary)
  features = item_embedder.features(world.items, 2, 64)
  params = model.init(jax.random.key(0), features, _tokens(world, 2))
  plain = model.bind(params).embed(features)
  rngs = {"dropout": jax.random.key(0)}
  train = model.bind(params, rngs=rngs).embed(features, train=True)
  hidden = np.abs(plain - train).max(-1) > 1e-5
  assert 0.2 < hidden.mean() < 0.8


@pytest.mark.parametrize("positions", ["start", "end"])
def test_positions_count_from_the_start_or_from_the_end(world, positions):
  config = _config(positions=positions)
  model = pinrec.of_config(config, world.vocabulary)
  features = item_embedder.features(world.items, 2, config.model.table_size)
  # Users 1 and 2 have one and two events, the others fill the row.
  tokens = _tokens(world, 5)
  real = np.asarray(tokens.segment) > 0
  length = real.sum(-1)
  assert len(set(length.tolist())) > 2
  params = model.init(jax.random.key(0), features, tokens)

  def slope_of(row, at):
    def value(table):
      held = {"params": {**params["params"], "position": table}}
      return jnp.sum(_states(model, held, features, tokens)[0][row, at] ** 2)

    slope = jax.grad(value)(params["params"]["position"])
    return set(np.flatnonzero(np.abs(slope).max(-1)).tolist())

  for row in range(5):
    size = int(length[row])
    first = 0 if positions == "start" else LENGTH - size
    assert slope_of(row, -1) == set(range(first, first + size))
    assert slope_of(row, LENGTH - size) == {first}


@pytest.mark.parametrize(
  "parts",
  [*({"backbone": name} for name in backbone.BLOCKS), {"remat": "inputs"}],
  ids=str,
  indirect=True,
)
def test_scanned_layers_equal_unrolled_layers(parts, monkeypatch):
  """In training, where layers are scanned, and with a cache."""
  model, params, features, tokens = parts

  def scanned_from(layers):
    monkeypatch.setattr(backbone, "SCANNED_FROM", layers)
    jax.clear_caches()

  scanned_from(2)
  shapes = jax.eval_shape(model.init, jax.random.key(0), features, tokens)
  blocks = [params["params"]["backbone"].pop(f"block_{n}") for n in range(2)]
  both = jax.tree.map(lambda *each: jnp.stack(each), *blocks)
  own = jax.tree.map(lambda x: x, params)
  own["params"]["backbone"]["blocks"] = both
  assert jax.tree.map(jnp.shape, own) == jax.tree.map(jnp.shape, shapes)
  for n, block in enumerate(blocks):
    params["params"]["backbone"][f"block_{n}"] = block

  def slope_of(params):
    vectors = model.apply(params, features.take(tokens.item), method="embed")

    @jax.jit
    @jax.value_and_grad
    def slope_of(vectors):
      states, _ = model.apply(params, vectors, tokens, method="states")
      return jnp.sum(states**3)

    return slope_of(vectors)

  cache = _empty_cache(model)
  for found in (
    slope_of,
    lambda params: _states(model, params, features, tokens, last=True),
    lambda params: _states(model, params, features, tokens, cache=cache),
  ):
    scanned_from(2)
    same = jax.tree.leaves(found(own))
    scanned_from(3)
    leaves = jax.tree.leaves(found(params))
    for one, other in zip(same, leaves, strict=True):
      np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_scanned_layers_compile_one_block(world, monkeypatch):
  """The layers have different initial values, and one program."""
  monkeypatch.setattr(backbone, "SCANNED_FROM", 2)
  sizes = []
  for layers in (2, 6):
    model = pinrec.of_config(_config(num_layers=layers), world.vocabulary)
    features, tokens = (
      item_embedder.features(world.items, 2, 64),
      _tokens(world, 2),
    )
    params = model.init(jax.random.key(0), features, tokens)
    first, second, *_ = params["params"]["backbone"]["blocks"]["mlp_in"][
      "kernel"
    ]
    assert not np.array_equal(first, second)
    lowered = jax.jit(model.apply).lower(params, features, tokens)
    sizes.append(lowered.as_text().count("dot_general"))
  assert sizes[0] == sizes[1]
