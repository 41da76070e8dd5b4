"""Intervals cover the truth as often as they say."""

import tracemalloc

import numpy as np
import pytest

from pinrec_jax.evals import bootstrap


def interval(found, total):
  """Returns the bounds of one figure."""
  bounds = bootstrap.intervals(found[:, None], total[:, None])
  return bounds[:, 0]


def test_an_interval_covers_the_truth_about_95_times_of_100():
  """Users differ in their rates and in their numbers of targets."""
  random = np.random.default_rng(0)
  low, high = [], []
  for _ in range(300):
    total = random.integers(1, 20, size=200)
    # A user with many targets is easier, so users are no coin flips.
    rate = np.clip(random.normal(0.1 + 0.02 * total, 0.1), 0, 1)
    bounds = interval(random.binomial(total, rate), total)
    low.append(bounds[0])
    high.append(bounds[1])
  sizes = np.arange(1, 20)
  rates = [
    np.clip(random.normal(0.1 + 0.02 * n, 0.1, 200_000), 0, 1).mean()
    for n in sizes
  ]
  truth = (sizes * rates).sum() / sizes.sum()
  covered = np.mean((np.array(low) <= truth) & (truth <= np.array(high)))
  assert 0.91 <= covered <= 0.98


def test_it_is_about_two_standard_errors_wide():
  random = np.random.default_rng(1)
  found = random.binomial(1, 0.3, size=2000)
  low, high = interval(found, np.ones(2000, int))
  error = np.sqrt(0.3 * 0.7 / 2000)
  assert low < found.mean() < high
  assert high - low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_users_are_resampled_and_not_targets():
  """Targets of one user that are found together make a wide interval."""
  together = np.repeat([0, 10], 50)
  apart = np.full(100, 5)
  total = np.full(100, 10)
  low, high = interval(together, total)
  assert high - low > 0.15
  assert interval(apart, total).tolist() == [0.5, 0.5]


def test_figures_of_the_same_users_share_their_resamples():
  random = np.random.default_rng(2)
  found = random.integers(0, 5, size=(90, 3))
  total = np.full((90, 3), 5)
  bounds = bootstrap.intervals(found, total)
  for n in range(3):
    np.testing.assert_allclose(interval(found[:, n], total[:, n]), bounds[:, n])
  np.testing.assert_allclose(
    bootstrap.intervals(found, total), bounds, rtol=0, atol=0
  )


def test_blocks_change_nothing(monkeypatch):
  random = np.random.default_rng(3)
  found, total = random.integers(0, 3, (50, 1)), np.full((50, 1), 3)
  whole = bootstrap.intervals(found, total)
  monkeypatch.setattr(bootstrap, "NUMBERS_AT_ONCE", 700)
  np.testing.assert_array_equal(bootstrap.intervals(found, total), whole)


def test_a_figure_without_targets_has_no_interval():
  bounds = bootstrap.intervals(
    np.array([[0, 1], [0, 2]]), np.array([[0, 3], [0, 3]])
  )
  assert np.isnan(bounds[:, 0]).all()
  assert np.isfinite(bounds[:, 1]).all()
  # Few resamples hold the one user with a target.
  rare = interval(np.eye(300, dtype=int)[0], np.eye(300, dtype=int)[0])
  assert np.isfinite(rare).all()


def test_many_users_take_little_memory():
  found = np.random.default_rng(4).integers(0, 2, (20_000, 4))
  tracemalloc.start()
  bootstrap.intervals(found, np.ones_like(found))
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  # All resamples together have 160 MB of weights.
  assert peak < 100e6
