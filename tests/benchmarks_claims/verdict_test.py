"""What seeds can and cannot say."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pinrec_jax.claims import verdict

BASE = [0.10, 0.11, 0.12]


def _times(*factors):
  return [one * factor for one, factor in zip(BASE, factors, strict=True)]


@pytest.mark.parametrize(
  ("arm", "paper", "loss", "label", "reason"),
  [
    (_times(1.05, 1.051, 1.049), 0.06, False, "reproduced", ""),
    (_times(1.05, 1.051, 1.049), None, False, "reproduced", ""),
    (_times(1.02, 1.021, 1.019), 0.06, False, "direction only", "half"),
    (_times(1.0, 1.2, 1.0), 0.06, False, "within the spread", "no difference"),
    (_times(0.95, 0.951, 0.949), 0.06, False, "not reproduced", "other way"),
    (_times(0.8, 1.1, 1.0), 0.06, False, "within the spread", "no difference"),
    (BASE, 0.06, False, "within the spread", "no difference"),
    (_times(0.95, 0.951, 0.949), 0.06, True, "reproduced", ""),
    (_times(1.05, 1.051, 1.049), None, True, "not reproduced", "other way"),
  ],
)
def test_gains_are_judged_by_direction_spread_and_size(
  arm, paper, loss, label, reason
):
  found = verdict.judge(arm, BASE, paper, loss=loss)
  assert found.label == label
  assert reason in found.reason
  assert found.seeds == 3


def test_one_seed_shows_a_direction_at_most():
  found = verdict.judge([0.2], [0.1])
  assert (found.gain, found.label) == (1.0, "direction only")
  assert math.isnan(found.spread)


@pytest.mark.parametrize("seeds", [2, 3, 11, 30])
def test_the_test_is_students_and_paired(seeds):
  rng, labels = np.random.default_rng(seeds), set()
  for mean in np.linspace(0, 0.1, 60):
    base = rng.uniform(0.1, 0.2, seeds)
    arm = base * (1 + rng.normal(mean, 0.05, seeds))
    result: Any = stats.ttest_1samp(arm / base - 1, 0)
    told = verdict.judge(arm.tolist(), base.tolist()).label
    labels.add(told)
    assert (told == "within the spread") == (result.pvalue >= 0.05)
    if result.pvalue < 0.05:
      gained = result.statistic > 0
      assert told == ("reproduced" if gained else "not reproduced")
  assert {"reproduced", "within the spread"} <= labels


def test_nothing_found_is_no_base():
  assert verdict.judge([0.1, 0.2], [0.0, 0.1]).label == "undefined"


def test_a_figure_that_is_no_number_tells_nothing():
  none = [math.nan] * 3
  assert verdict.judge(none, BASE).label == "undefined"
  assert verdict.judge(BASE, none).label == "undefined"
