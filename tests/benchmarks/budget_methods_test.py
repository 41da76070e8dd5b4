"""Ways to serve a budget, and how well the budget steers on every log."""

import pathlib

import budget_methods
import numpy as np
import pytest

from pinrec_jax import files

RESULTS = pathlib.Path(__file__).parents[2] / "results"
BLEND, MIXTURE = 1, 2


@pytest.fixture(scope="module")
def vectors():
  """Returns two unit vectors of three users, and 200 items."""
  rng = np.random.default_rng(0)
  found = [rng.normal(size=size) for size in ((3, 2, 8), (200, 8))]
  return [
    (own / np.linalg.norm(own, axis=-1, keepdims=True)).astype(np.float32)
    for own in found
  ]


def of_budget(vectors, share, free=None):
  if free is None:
    free = np.ones((3, 200), bool)
  shares = np.array([1 - share, share], np.float32)
  return np.asarray(budget_methods.of_budget(*vectors, free, shares, 0.1))


@pytest.mark.parametrize("share", [0, 1])
def test_all_ways_agree_if_one_outcome_has_the_whole_budget(vectors, share):
  lists = of_budget(vectors, share)
  query, items = vectors
  nearest = np.argsort(-query[:, share] @ items.T, -1)[:, :100]
  for own in lists:
    np.testing.assert_array_equal(own, nearest)


def test_lists_are_those_of_a_plain_computation(vectors):
  query, items = vectors
  free = np.random.default_rng(1).random((3, 200)) < 0.8
  _, blend, mixture = of_budget(vectors, 0.3, free)
  for user in range(3):
    cosine = np.where(free[user], query[user] @ items.T, -np.inf)
    mean = 0.7 * query[user, 0] + 0.3 * query[user, 1]
    score = np.where(free[user], items @ mean, -np.inf)
    assert blend[user].tolist() == np.argsort(-score)[:100].tolist()
    chance = np.exp(cosine / 0.1)
    chance /= chance.sum(-1, keepdims=True)
    score = 0.7 * chance[0] + 0.3 * chance[1]
    assert mixture[user].tolist() == np.argsort(-score)[:100].tolist()


def test_a_way_gains_if_it_finds_more_of_both_outcomes():
  rng = np.random.default_rng(0)
  split = rng.integers(3, size=(11, 500, 2))
  assert budget_methods.gains(split, split) == (0, 0, 0)
  gain, low, high = budget_methods.gains(2 * split, split)
  np.testing.assert_allclose([gain, low, high], 1)


@pytest.mark.parametrize("log", ["mini", "synthetic", "pure"])
def test_the_budget_steers_on_every_log(log):
  """These are the figures of the stored results."""
  found = files.read_json(RESULTS / f"budget_methods_{log}.json")["steering"]
  assert found["unchanged"] <= 0.5
  assert found["share_error"] <= 0.05
