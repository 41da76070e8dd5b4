import jax
import numpy as np

from pinrec_jax.losses import sampling


def test_expected_counts_are_the_counts_seen_on_average():
  rng = np.random.default_rng(0)
  share = np.append(0, rng.dirichlet(np.ones(19))).astype(np.float32)
  counts = np.zeros(20)
  draws = 400
  for n in range(draws):
    key = jax.random.key(n)
    targets = jax.random.choice(key, 20, (64,), p=share)
    drawn = sampling.mixed(key, targets, share, in_batch=32, uniform=16)
    item = np.asarray(drawn.item)
    np.add.at(counts, item, 1)
    np.testing.assert_allclose(
      np.exp(drawn.log_expected), (32 * share + 16 / 19)[item], rtol=1e-5
    )
  expected = 32 * share[1:] + 16 / 19
  np.testing.assert_allclose(counts[1:] / draws, expected, rtol=0.12)


def test_positions_without_a_target_are_not_counted():
  targets = np.array([0, 0, 0, 5, 6])
  share = np.full(8, 1 / 7, np.float32)
  drawn = sampling.mixed(
    jax.random.key(0), targets, share, in_batch=5, uniform=0
  )
  assert sorted(drawn.item.tolist()) == [0, 0, 0, 5, 6]
  np.testing.assert_allclose(np.exp(drawn.log_expected), 2 / 7, rtol=1e-5)


def test_uniform_draws_reach_every_item_but_none_the_empty_row():
  drawn = sampling.mixed(
    jax.random.key(0),
    np.zeros(4, np.int32),
    np.full(6, 0.2, np.float32),
    in_batch=0,
    uniform=500,
  )
  assert set(drawn.item.tolist()) == {1, 2, 3, 4, 5}
