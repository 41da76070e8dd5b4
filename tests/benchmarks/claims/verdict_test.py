"""Verdicts follow adjusted paired t-tests and the size of the gain."""

import math
from typing import Any

import intervals
import numpy as np
import pytest
import verdict
from scipy import stats

BASE = [0.10, 0.11, 0.12]
NO_DIFFERENCE = "no significant difference"


def _times(*factors):
  return [one * factor for one, factor in zip(BASE, factors, strict=True)]


def _judge(arm, base, paper=None, *, decrease=False):
  comparison = verdict.Comparison(arm, base, paper, decrease)
  (found,) = verdict.judge([comparison])
  return found


@pytest.mark.parametrize(
  ("arm", "paper", "decrease", "label", "reason"),
  [
    (_times(1.05, 1.051, 1.049), 0.06, False, "reproduced", ""),
    (_times(1.05, 1.051, 1.049), None, False, "reproduced", ""),
    (_times(1.02, 1.021, 1.019), 0.06, False, "direction only", "half"),
    (_times(1.31, 1.311, 1.309), 0.06, False, "another regime", "five times"),
    (_times(9.0, 9.001, 8.999), None, False, "reproduced", ""),
    (_times(1.0, 1.2, 1.0), 0.06, False, NO_DIFFERENCE, "cannot be seen"),
    (_times(0.95, 0.951, 0.949), 0.06, False, "contradicted", "other dir"),
    (_times(0.8, 1.1, 1.0), 0.06, False, NO_DIFFERENCE, "cannot be seen"),
    (BASE, 0.06, False, NO_DIFFERENCE, ""),
    (_times(0.95, 0.951, 0.949), 0.06, True, "reproduced", ""),
    (_times(1.05, 1.051, 1.049), None, True, "contradicted", "other dir"),
  ],
)
def test_a_gain_is_judged_by_significance_direction_and_size(
  arm, paper, decrease, label, reason
):
  found = _judge(arm, BASE, paper, decrease=decrease)
  assert found.label == label
  assert reason in found.reason
  assert found.seeds == 3


def test_one_seed_allows_no_test():
  found = _judge([0.2], [0.1])
  assert (found.gain, found.label) == (1.0, "not testable")
  assert math.isnan(found.std)


@pytest.mark.parametrize("gain", [-0.3, -0.1, 0.0, 0.1, 0.3])
@pytest.mark.parametrize("freedom", [2.0, 5000.0])
def test_a_bootstrap_is_tested_on_its_log_scale(gain, freedom):
  own = intervals.Bootstrap(gain, 0.07, freedom)
  # The figures of the seeds would give another gain.
  one = verdict.Comparison(_times(1.5, 1.6, 1.4), BASE, bootstrap=own)
  (found,) = verdict.judge([one])
  assert found.gain == pytest.approx(gain, abs=1e-12)
  assert (found.over, found.seeds) == ("users and seeds", 3)
  statistic = math.log1p(gain) / 0.07
  assert found.p == pytest.approx(2 * stats.t.sf(abs(statistic), freedom))
  low, high = np.log1p([found.low, found.high])
  assert low + high == pytest.approx(2 * math.log1p(gain))
  significant = not found.low <= 0 <= found.high
  assert significant == (found.p < 0.05) == (found.label != NO_DIFFERENCE)
  assert significant == (abs(math.log1p(gain)) > math.log1p(found.detectable))


def test_one_seed_has_an_interval_over_users_and_no_test():
  own = intervals.Bootstrap(0.2, 0.01, 500.0)
  one = verdict.Comparison([0.12], [0.1], bootstrap=own)
  (found,) = verdict.judge([one])
  assert (found.label, found.over) == ("not testable", "users")
  assert 0.17 < found.low < 0.2 < found.high < 0.23
  assert math.isnan(found.p)


def test_a_metric_without_values_per_user_has_an_interval_over_seeds():
  arm = _times(1.05, 1.07, 1.06)
  found = _judge(arm, BASE)
  gains = [a / b - 1 for a, b in zip(arm, BASE, strict=True)]
  expected: Any = stats.ttest_1samp(gains, 0)
  bounds = expected.confidence_interval(0.95)
  assert found.over == "seeds"
  np.testing.assert_allclose((found.low, found.high), bounds)


@pytest.mark.parametrize("seeds", [2, 3, 11, 30])
def test_the_test_is_scipys_paired_t_test(seeds):
  rng, labels = np.random.default_rng(seeds), set()
  for mean in np.linspace(0, 0.1, 60):
    base = rng.uniform(0.1, 0.2, seeds)
    arm = base * (1 + rng.normal(mean, 0.05, seeds))
    result: Any = stats.ttest_1samp(arm / base - 1, 0)
    found = _judge(arm.tolist(), base.tolist())
    labels.add(found.label)
    assert found.p == found.adjusted_p == pytest.approx(result.pvalue)
    assert (found.label == NO_DIFFERENCE) == (result.pvalue >= 0.05)
    assert (abs(found.gain) > found.detectable) == (result.pvalue < 0.05)
    if result.pvalue < 0.05:
      gained = result.statistic > 0
      assert found.label == ("reproduced" if gained else "contradicted")
  assert {"reproduced", NO_DIFFERENCE} <= labels


def test_p_values_are_adjusted_for_all_comparisons():
  p_values = [0.04, math.nan, 0.001, 0.03, 0.2]
  found = verdict.adjust(p_values)
  # By hand: the smallest of p times 4 / rank, from the largest p down.
  expected = [0.04 * 4 / 3, math.nan, 0.004, 0.04 * 4 / 3, 0.2]
  np.testing.assert_allclose(found, expected)
  assert verdict.adjust([math.nan]) != [0.0]
  assert verdict.adjust([]) == []


def test_a_gain_among_many_needs_a_smaller_p_value():
  weak = verdict.Comparison(_times(1.05, 1.07, 1.06), BASE)
  nothing = verdict.Comparison(_times(1.0, 1.2, 0.9), BASE)
  (alone,) = verdict.judge([weak])
  assert alone.label == "reproduced"
  among = verdict.judge([weak, *[nothing] * 30])[0]
  assert among.p == alone.p < verdict.ALPHA <= among.adjusted_p
  assert among.label == NO_DIFFERENCE
  assert alone.detectable < abs(alone.gain) < among.detectable


def test_a_baseline_that_found_nothing_has_no_verdict():
  assert _judge([0.1, 0.2], [0.0, 0.1]).label == "not testable"


def test_a_metric_without_targets_has_no_verdict():
  none = [math.nan] * 3
  assert _judge(none, BASE).label == "not testable"
  assert _judge(BASE, none).label == "not testable"
