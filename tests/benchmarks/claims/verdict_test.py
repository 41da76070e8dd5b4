"""Verdicts follow a paired t-test and the size of the paper's change."""

import math
from typing import Any

import numpy as np
import pytest
import verdict
from scipy import stats

BASE = [0.10, 0.11, 0.12]
NO_DIFFERENCE = "no significant difference"


def _times(*factors):
  return [one * factor for one, factor in zip(BASE, factors, strict=True)]


@pytest.mark.parametrize(
  ("arm", "paper", "decrease", "label", "reason"),
  [
    (_times(1.05, 1.051, 1.049), 0.06, False, "reproduced", ""),
    (_times(1.05, 1.051, 1.049), None, False, "reproduced", ""),
    (_times(1.02, 1.021, 1.019), 0.06, False, "direction only", "half"),
    (_times(1.0, 1.2, 1.0), 0.06, False, NO_DIFFERENCE, ""),
    (_times(0.95, 0.951, 0.949), 0.06, False, "not reproduced", "other dir"),
    (_times(0.8, 1.1, 1.0), 0.06, False, NO_DIFFERENCE, ""),
    (BASE, 0.06, False, NO_DIFFERENCE, ""),
    (_times(0.95, 0.951, 0.949), 0.06, True, "reproduced", ""),
    (_times(1.05, 1.051, 1.049), None, True, "not reproduced", "other dir"),
  ],
)
def test_a_gain_is_judged_by_significance_direction_and_size(
  arm, paper, decrease, label, reason
):
  found = verdict.judge(arm, BASE, paper, decrease=decrease)
  assert found.label == label
  assert reason in found.reason
  assert found.seeds == 3


def test_one_seed_shows_a_direction_at_most():
  found = verdict.judge([0.2], [0.1])
  assert (found.gain, found.label) == (1.0, "direction only")
  assert math.isnan(found.std)


@pytest.mark.parametrize("seeds", [2, 3, 11, 30])
def test_the_test_is_scipys_paired_t_test(seeds):
  rng, labels = np.random.default_rng(seeds), set()
  for mean in np.linspace(0, 0.1, 60):
    base = rng.uniform(0.1, 0.2, seeds)
    arm = base * (1 + rng.normal(mean, 0.05, seeds))
    result: Any = stats.ttest_1samp(arm / base - 1, 0)
    label = verdict.judge(arm.tolist(), base.tolist()).label
    labels.add(label)
    assert (label == NO_DIFFERENCE) == (result.pvalue >= 0.05)
    if result.pvalue < 0.05:
      gained = result.statistic > 0
      assert label == ("reproduced" if gained else "not reproduced")
  assert {"reproduced", NO_DIFFERENCE} <= labels


def test_a_baseline_that_found_nothing_has_no_verdict():
  assert verdict.judge([0.1, 0.2], [0.0, 0.1]).label == "undefined"


def test_a_metric_without_targets_has_no_verdict():
  none = [math.nan] * 3
  assert verdict.judge(none, BASE).label == "undefined"
  assert verdict.judge(BASE, none).label == "undefined"
