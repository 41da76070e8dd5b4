"""Gains over users and seeds: paired, and as certain as they say."""

import dataclasses
import math
import statistics
from typing import Any

import intervals
import numpy as np
import pytest
import suite
from scipy import stats

from pinrec_jax.evals import bootstrap
from pinrec_jax.types import UserSums

TEST = suite.Test("oc", "uc", "recall@10")
NAMES = [f"user {n}" for n in range(60)]


def _counts(users, seeds, *, rate=0.3, of_seed=0.0, of_user=0.0, number=0):
  """Returns hits and targets of two equally good arms, by user and seed."""
  random = np.random.default_rng(number)
  total = random.integers(1, 9, users)
  shape = (users, 2, seeds)
  logit = np.log(rate / (1 - rate)) + random.normal(0, 1, (users, 1, 1))
  logit = logit + random.normal(0, of_user, (users, 2, 1))
  logit = logit + random.normal(0, of_seed, (1, 2, seeds))
  found = random.binomial(total[:, None, None], 1 / (1 + np.exp(-logit)))
  every = np.broadcast_to(total[:, None, None], shape)
  return np.stack([found, every], -1).astype(np.float64)


def _gain(values):
  columns = values.reshape(len(values), -1)
  drawn = bootstrap.sums(columns).reshape(-1, *values.shape[1:])
  found = intervals.gain(values, drawn)
  assert found
  return found


def _p(found):
  return 2 * stats.t.sf(abs(np.log1p(found.gain)) / found.error, found.freedom)


def _log_gain(values, users, seeds):
  """Returns log(1 + gain) of some users and seeds, counted one by one."""
  figures = []
  for arm in (0, 1):
    found = sum(values[u, arm, s, 0] for u in users for s in seeds)
    total = sum(values[u, arm, s, 1] for u in users for s in seeds)
    figures.append(found / total)
  return math.log(figures[0] / figures[1])


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_a_gain_equals_a_slow_reference(seeds, monkeypatch):
  monkeypatch.setattr(bootstrap, "RESAMPLES", 30)
  intervals._draws.cache_clear()
  values = _counts(25, seeds, of_seed=0.2)
  # As many users as there are, and one seed less, with replacement.
  users_drawn = np.random.default_rng(25).multinomial(25, [1 / 25] * 25, 30)
  seeds_drawn = np.random.default_rng(seeds).multinomial(
    max(seeds - 1, 1), [1 / seeds] * seeds, 30
  )
  logs, of_seeds = [], []
  for user, seed in zip(users_drawn, seeds_drawn, strict=True):
    some = [s for s, times in enumerate(seed) for _ in range(times)]
    users = [u for u, times in enumerate(user) for _ in range(times)]
    logs.append(_log_gain(values, users, some))
    of_seeds.append(_log_gain(values, range(25), some))
  found = _gain(values)
  intervals._draws.cache_clear()
  assert found.gain == pytest.approx(
    math.exp(_log_gain(values, range(25), range(seeds))) - 1
  )
  error, own = statistics.pstdev(logs), statistics.pstdev(of_seeds)
  assert found.error == pytest.approx(max(error, own))
  freedom = 24
  if seeds > 1:
    freedom = min(24, (seeds - 1) * max(error / own, 1) ** 4)
  assert found.freedom == pytest.approx(freedom)


@pytest.mark.parametrize(
  "spread", [{"of_seed": 0.2}, {"of_user": 1.0}, {"of_seed": 0.1}]
)
def test_equal_arms_seldom_differ_significantly(spread):
  """Whether seeds differ, or users, or both."""
  rejected = [
    _p(_gain(_counts(200, 3, number=n, **spread))) < 0.05 for n in range(100)
  ]
  assert np.mean(rejected) < 0.1


def test_seeds_alone_miss_that_users_differ():
  """So a t-test over seeds finds gains that other users would not have."""
  rejected = []
  for n in range(100):
    values = _counts(200, 5, of_user=1.5, number=n)
    found, _ = values.sum(0).T
    over_seeds: Any = stats.ttest_1samp(found[:, 0] / found[:, 1] - 1, 0)
    rejected.append([over_seeds.pvalue < 0.05, _p(_gain(values)) < 0.05])
  of_seeds, of_both = np.mean(rejected, 0)
  assert of_both < 0.1 < 2 * 0.1 < of_seeds


def test_if_only_seeds_differ_the_error_is_that_of_the_t_test():
  found = np.array([[40.0, 44, 50], [41, 40, 42]])
  values = np.stack([found, np.full((2, 3), 100.0)], -1)
  values = np.broadcast_to(values, (5000, 2, 3, 2))
  own = _gain(values)
  gains = found[0] / found[1] - 1
  expected = np.std(gains, ddof=1) / math.sqrt(3) / np.mean(1 + gains)
  assert own.error == pytest.approx(expected, rel=0.1)
  assert own.freedom == pytest.approx(2)


def test_a_gain_is_paired_by_user():
  values = _counts(500, 3)
  values[:, 1] = values[:, 0]
  assert _gain(values)[:2] == (0, 0)
  values[:400:4, 0, :, 0] += 1
  own = _gain(values)
  assert own.gain == pytest.approx(300 / values[:, 1, :, 0].sum())
  # Unpaired, the recalls of 500 users differ by chance far more than this.
  assert own.error < 0.2 * own.gain


def test_an_arm_that_some_resample_finds_nothing_for_has_no_gain():
  values = _counts(60, 3)
  values[1:, 0, :, 0] = 0
  drawn = bootstrap.sums(values.reshape(60, -1)).reshape(-1, 2, 3, 2)
  assert intervals.gain(values, drawn) is None


def _save(path, values, names=NAMES, metric="recall@10"):
  sums = {metric: UserSums(values[:, 0].astype(int), values[:, 1].astype(int))}
  intervals.save(path, names, sums)
  return path


@pytest.fixture
def stored(tmp_path):
  """The files of two arms with three seeds, and the values in them."""
  values = _counts(60, 3)
  paths = {
    arm: [
      _save(tmp_path / f"{arm}{seed}.npz", values[:, n, seed])
      for seed in range(3)
    ]
    for n, arm in enumerate(("oc", "uc"))
  }
  return paths, values


def test_stored_values_give_the_same_gain(stored):
  paths, values = stored
  other = dataclasses.replace(TEST, metric="coverage")
  back = dataclasses.replace(TEST, arm="uc", baseline="oc")
  found = intervals.of_row(paths, [TEST, other, back])
  gain, none, inverse = found
  assert gain == _gain(values)
  assert none is None
  assert gain
  assert inverse
  assert inverse.gain == pytest.approx(1 / (1 + gain.gain) - 1)
  assert inverse.error == pytest.approx(gain.error)
  with np.load(paths["oc"][0]) as content:
    assert content["users"].tolist() == NAMES
    assert content["recall@10:found"].dtype == np.uint8


def test_fractions_are_stored_as_they_are(tmp_path):
  sums = UserSums.of_mean(np.array([0.1, np.nan, 1 / 3]))
  intervals.save(tmp_path / "a.npz", ["a", "b", "c"], {"recency": sums})
  with np.load(tmp_path / "a.npz") as content:
    stored = UserSums(content["recency:found"], content["recency:total"])
  assert stored.ratio() == sums.ratio() == (0.1 + 1 / 3) / 2


def test_an_evaluation_without_values_has_no_gain(stored):
  paths, _ = stored
  paths["uc"][1].unlink()
  assert intervals.of_row(paths, [TEST]) == [None]
  assert intervals.of_row({"oc": [], "uc": []}, [TEST]) == [None]


@pytest.mark.parametrize("names", [NAMES[::-1], NAMES[:40]])
def test_arms_and_seeds_with_other_users_are_refused(stored, names):
  paths, values = stored
  for changed in (["uc0", "uc1", "uc2"], ["uc2"]):
    for path in paths["uc"]:
      of = names if path.stem in changed else NAMES
      _save(path, values[: len(of), 1, 0], of)
    with pytest.raises(ValueError, match="cannot be paired; compare arms"):
      intervals.of_row(paths, [TEST])
