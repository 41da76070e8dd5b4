import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.losses import negative_sampling, softmax

CORPUS = 50


def _unit(rng, *shape):
  x = rng.normal(size=shape)
  return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def _reference(query, positive, negative, own, ids, log_expected, temperature):
  """The definition in float64, one query at a time."""
  losses = []
  for n, q in enumerate(np.asarray(query, np.float64)):
    score = q @ positive[n].astype(np.float64) / temperature
    total = np.exp(score)
    for v, i, m in zip(negative, ids, log_expected, strict=True):
      if i not in (own[n], 0):
        total += np.exp(q @ v.astype(np.float64) / temperature - m)
    losses.append(np.log(total) - score)
  return np.array(losses)


def _case(queries=12, negatives=40, seed=0):
  rng = np.random.default_rng(seed)
  items = _unit(rng, CORPUS, 6)
  own = rng.integers(1, CORPUS, queries)
  ids = rng.integers(0, CORPUS, negatives)
  expected = rng.uniform(-3, 3, negatives).astype(np.float32)
  return _unit(rng, queries, 6), items[own], items[ids], own, ids, expected


def _losses(query, targets, negatives, **options):
  """The loss of each query, as the gradient with respect to its weight."""
  return jax.grad(
    lambda weight: softmax.sampled_softmax(
      query, targets, negatives, weight, **options
    )
  )(jnp.ones(query.shape[:2]))


def _weighted(*case, rows=4, **options):
  """The sum of the losses, with weights of 1."""
  weight = jnp.ones((rows, len(case[3]) // rows))
  return _rows(*case, rows=rows, weight=weight, **options)


def _loss(*case, rows=4, **options):
  """The loss of each query."""
  return jax.grad(
    lambda weight: _rows(*case, rows=rows, weight=weight, **options)
  )(jnp.ones((rows, len(case[3]) // rows))).reshape(-1)


def _rows(
  query, positive, negative, own, ids, expected,
  *, weight, temperature, rows=4, objective="next_item", **sizes,
):  # fmt: skip
  """The loss of queries with one positive each, arranged in rows."""
  length = len(own) // rows

  def split(x):
    return jnp.reshape(x, (rows, length, *x.shape[1:]))

  targets = softmax.Targets(
    split(positive),
    split(own),
    jnp.broadcast_to(jnp.eye(length, dtype=bool), (rows, length, length)),
    jnp.zeros((rows, length)),
  )
  return softmax.sampled_softmax(
    split(query),
    targets,
    softmax.Negatives(negative, ids, expected),
    weight,
    temperature=temperature,
    config=config_lib.Loss(objective=objective),
    **sizes,
  )


@pytest.mark.parametrize("chunk", [1, 6, 64])
@pytest.mark.parametrize("block", [1, 7, 40, 64])
def test_one_positive_equals_the_definition_in_float64(chunk, block):
  case = _case()
  got = _loss(*case, temperature=0.1, chunk=chunk, block=block)
  np.testing.assert_allclose(got, _reference(*case, 0.1), rtol=2e-5)


@pytest.mark.parametrize("reduction", ["min", "softmin", "mean"])
@pytest.mark.parametrize(("chunk", "block"), [(0, 8192), (4, 7), (64, 4)])
def test_several_positives_equal_the_definition_in_float64(
  reduction, chunk, block
):
  """Also if items repeat in a row, and among its negatives."""
  rng = np.random.default_rng(1)
  items = _unit(rng, 12, 6)
  own, ids = rng.integers(0, 12, (3, 8)), rng.integers(0, 12, 30)
  positive = (rng.random((3, 8, 8)) < 0.3) & (own > 0)[:, None]
  bias = rng.uniform(-1, 1, (3, 8)).astype(np.float32)
  expected = rng.uniform(-2, 2, 12).astype(np.float32)[ids]
  query = _unit(rng, 3, 8, 6)
  got = _losses(
    query,
    softmax.Targets(items[own], own, positive, bias),
    softmax.Negatives(items[ids], ids, expected),
    temperature=0.3,
    config=config_lib.Loss(objective="windowed", multi_positive=reduction),
    chunk=chunk,
    block=block,
  )
  assert positive.sum(-1).max() > 2
  assert not positive.any(-1).all()
  want = np.zeros((3, 8))
  for row, q in np.argwhere(positive.any(-1)):
    places = np.flatnonzero(positive[row, q])
    score = items.astype(float) @ query[row, q] / 0.3
    left = ~np.isin(ids, [0, *own[row, places]])
    rest = np.exp(score[ids] - expected)[left].sum()
    each = score[own[row, places]] - bias[row, places]
    each = np.log(np.exp(each) + rest) - each
    want[row, q] = {
      "min": each.min(),
      "softmin": -0.5 * np.log(np.mean(np.exp(-each / 0.5))),
      "mean": each.mean(),
    }[reduction]
  np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("chunk", "block"), [(4, 64), (64, 9), (3, 40)])
def test_the_gradient_equals_that_of_the_whole_matrix(chunk, block):
  query, positive, negative, own, ids, expected = _case()

  def chunked(q, p, n, t):
    return _weighted(
      q, p, n, own, ids, expected, temperature=t, chunk=chunk, block=block
    )

  def whole(q, p, n, t):
    score = (q * p).sum(-1) / t
    logits = q @ n.T / t - expected
    hidden = (ids == own[:, None]) | (ids == 0)
    logits = jnp.where(hidden, -jnp.inf, logits)
    both = jnp.concatenate([score[:, None], logits], 1)
    return (jax.nn.logsumexp(both, axis=1) - score).sum()

  args = (query, positive, negative, jnp.float32(0.2))
  got = jax.grad(chunked, argnums=(0, 1, 2, 3))(*args)
  want = jax.grad(whole, argnums=(0, 1, 2, 3))(*args)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5),
    got,
    want,
  )


@pytest.mark.parametrize(("block", "products"), [(40, 3), (7, 4)])
def test_one_block_of_negatives_is_scored_once(block, products):
  """Two more products are the gradients of the queries and the negatives."""
  query, positive, negative, *rest = _case()
  gradient = jax.make_jaxpr(
    jax.grad(
      lambda q, n: _weighted(
        q, positive, n, *rest, temperature=1.0, chunk=4, block=block
      ),
      argnums=(0, 1),
    )
  )(query, negative)
  assert str(gradient).count("dot_general") == products


@pytest.mark.parametrize("objective", ["next_item", "windowed"])
def test_a_query_without_any_negative_left_has_no_loss(objective):
  rng = np.random.default_rng(0)
  query, item = _unit(rng, 1, 4), _unit(rng, 1, 4)
  value, slope = jax.value_and_grad(
    lambda q: _weighted(
      q,
      item,
      np.repeat(item, 3, 0),
      np.array([7]),
      np.array([7, 7, 0]),
      np.zeros(3, np.float32),
      temperature=0.1,
      rows=1,
      objective=objective,
    )
  )(query)
  np.testing.assert_allclose(value, 0, atol=1e-6)
  np.testing.assert_allclose(slope, 0, atol=1e-6)


def test_the_minimum_learns_from_its_own_positive_alone():
  rng = np.random.default_rng(0)
  vectors = rng.normal(size=(1, 3, 4)).astype(np.float32)
  query = vectors[:, 1:2] * 0.9  # Nearest to the second target.

  def value(targets):
    return softmax.sampled_softmax(
      query,
      softmax.Targets(
        targets,
        np.array([[1, 2, 3]]),
        np.ones((1, 1, 3), bool),
        np.zeros((1, 3), np.float32),
      ),
      softmax.Negatives(
        rng.normal(size=(5, 4)).astype(np.float32),
        np.arange(4, 9),
        np.zeros(5, np.float32),
      ),
      np.ones((1, 1), np.float32),
      temperature=1.0,
      config=config_lib.Loss(objective="session"),
    )

  slope = np.abs(jax.grad(value)(vectors)).sum(-1)[0]
  assert slope[1] > 0
  assert slope[0] == slope[2] == 0


def _full_gradient(query, items, own):
  def loss(q):
    logits = q @ items[1:].T / 0.5
    return -jax.nn.log_softmax(logits)[own - 1]

  return jax.grad(loss)(query)


def test_the_correction_recovers_the_gradient_of_the_full_softmax():
  """In a world of 50 items with skewed frequencies."""
  rng = np.random.default_rng(0)
  items = _unit(rng, CORPUS, 6)
  query, own = _unit(rng, 6), 3
  frequency = np.append(0, 1 / np.arange(1, CORPUS))
  frequency = jnp.asarray(frequency / frequency.sum(), jnp.float32)
  truth = _full_gradient(query, items, own)
  config = config_lib.Loss(in_batch_negatives=400, uniform_negatives=100)

  @functools.partial(jax.jit, static_argnames="corrected")
  def mean_gradient(keys, *, corrected):
    def sampled(key):
      targets = jax.random.choice(key, CORPUS, (400,), p=frequency)
      drawn, _ = negative_sampling.draw(
        key,
        targets,
        jnp.zeros(1, jnp.int32),
        negative_sampling.Frequencies(frequency, frequency),
        config,
      )
      expected = drawn.log_expected if corrected else jnp.zeros(500)
      return jax.grad(
        lambda q: _weighted(
          q[None],
          items[own][None],
          jnp.asarray(items)[drawn.item],
          jnp.array([own]),
          drawn.item,
          expected,
          temperature=0.5,
          rows=1,
        )
      )(query)

    return jax.vmap(sampled)(keys).mean(0)

  def error(*, corrected):
    keys = jax.random.split(jax.random.key(0), 64)
    found = mean_gradient(keys, corrected=corrected)
    return np.linalg.norm(found - truth) / np.linalg.norm(truth)

  assert error(corrected=True) < 0.05
  assert error(corrected=False) > 0.15
