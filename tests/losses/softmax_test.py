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
  """The definition, a query at a time, in float64."""
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


def _loss(
  query, positive, negative, own, ids, expected, *, temperature, rows=4, **loss
):
  """The loss of queries that have one target each, put into rows."""
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
    softmax.Scored(negative, ids, expected),
    temperature=temperature,
    config=config_lib.Loss(**loss),
  ).reshape(-1)


@pytest.mark.parametrize("chunk", [1, 6, 64])
@pytest.mark.parametrize("block", [1, 7, 40, 64])
def test_equals_the_definition_in_float64(chunk, block):
  case = _case()
  got = _loss(*case, temperature=0.1, chunk=chunk, block=block)
  np.testing.assert_allclose(got, _reference(*case, 0.1), rtol=2e-5)


@pytest.mark.parametrize(("chunk", "block"), [(4, 64), (64, 9), (3, 40)])
def test_gradient_equals_that_of_the_whole_matrix(chunk, block):
  query, positive, negative, own, ids, expected = _case()

  def chunked(q, p, n, t):
    return _loss(
      q, p, n, own, ids, expected, temperature=t, chunk=chunk, block=block
    ).sum()

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


@pytest.mark.parametrize("objective", ["next_item", "windowed"])
def test_a_query_whose_negatives_are_all_its_own_positive_costs_nothing(
  objective,
):
  rng = np.random.default_rng(0)
  query, item = _unit(rng, 1, 4), _unit(rng, 1, 4)
  value, slope = jax.value_and_grad(
    lambda q: _loss(
      q,
      item,
      np.repeat(item, 3, 0),
      np.array([7]),
      np.array([7, 7, 0]),
      np.zeros(3, np.float32),
      temperature=0.1,
      rows=1,
      objective=objective,
    ).sum()
  )(query)
  np.testing.assert_allclose(value, 0, atol=1e-6)
  np.testing.assert_allclose(slope, 0, atol=1e-6)


def _full_gradient(query, items, own):
  def loss(q):
    logits = q @ items[1:].T / 0.5
    return -jax.nn.log_softmax(logits)[own - 1]

  return jax.grad(loss)(query)


def test_the_correction_recovers_the_full_softmax():
  """Over a 50-item world with a skewed sampler, errors shrink with samples."""
  rng = np.random.default_rng(0)
  items = _unit(rng, CORPUS, 6)
  query, own = _unit(rng, 6), 3
  share = np.append(0, 1 / np.arange(1, CORPUS))
  share = jnp.asarray(share / share.sum(), jnp.float32)
  truth = _full_gradient(query, items, own)

  def sampled(key, *, corrected):
    targets = jax.random.choice(key, CORPUS, (400,), p=share)
    mixture = negative_sampling.Mixture(
      CORPUS - 1, lambda item: share[item], lambda item: share[item]
    )
    drawn, _ = mixture.draw(
      key,
      targets,
      jnp.zeros(1, jnp.int32),
      config_lib.Loss(in_batch_negatives=400, uniform_negatives=100),
    )
    expected = drawn.log_expected if corrected else jnp.zeros(500)
    return jax.grad(
      lambda q: _loss(
        q[None],
        items[own][None],
        jnp.asarray(items)[drawn.item],
        jnp.array([own]),
        drawn.item,
        expected,
        temperature=0.5,
        rows=1,
      )[0]
    )(query)

  def error(corrected):
    keys = jax.random.split(jax.random.key(0), 64)
    found = jax.vmap(lambda k: sampled(k, corrected=corrected))(keys).mean(0)
    return np.linalg.norm(found - truth) / np.linalg.norm(truth)

  assert error(corrected=True) < 0.05
  assert error(corrected=False) > 0.15
