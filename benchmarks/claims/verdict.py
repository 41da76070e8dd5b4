"""Decides from paired seeds whether a claim is reproduced."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scipy import stats

ALPHA = 0.05  # Significance level of the two-sided test.
# Fraction of the paper's change from which its size counts as reproduced.
MIN_FRACTION = 0.5


class Verdict(NamedTuple):
  """The outcome of a comparison of two arms.

  Attributes:
    gain: mean over seeds of arm / baseline - 1.
    std: sample standard deviation of the gain over seeds.
    seeds: number of seeds.
    label: the verdict.
    reason: why the label is not "reproduced".
  """

  gain: float
  std: float
  seeds: int
  label: str
  reason: str


def judge(
  arm: Sequence[float],
  baseline: Sequence[float],
  paper: float | None = None,
  *,
  decrease: bool = False,
) -> Verdict:
  """Returns the verdict on the gain of an arm over a baseline.

  A two-sided paired t-test over the relative gains of the seeds decides whether
  the gain is significant. A significant gain in the paper's direction is
  "reproduced" if it is at least half of the paper's, else "direction only". A
  significant gain in the other direction is "not reproduced".

  Args:
    arm: the arm's figure of each seed.
    baseline: the baseline's figure of each seed.
    paper: relative gain that the paper reports; None if it gives no number.
    decrease: whether the paper reports a decrease.
  """
  if missing := _missing(arm, baseline):
    return Verdict(math.nan, math.nan, len(arm), "undefined", missing)
  gains = [a / b - 1 for a, b in zip(arm, baseline, strict=True)]
  n, gain = len(gains), statistics.mean(gains)
  std = statistics.stdev(gains) if n > 1 else math.nan
  size = -gain if decrease else gain
  if n == 1:
    label = "direction only" if size > 0 else "not reproduced"
    reason = "one seed allows no test"
  elif abs(gain) <= _margin(std, n):
    label, reason = "no significant difference", ""
  elif size < 0:
    label, reason = "not reproduced", "significant in the other direction"
  elif size < MIN_FRACTION * abs(paper or 0.0):
    label, reason = "direction only", "less than half of the paper's change"
  else:
    label, reason = "reproduced", ""
  return Verdict(gain, std, n, label, reason)


def _missing(arm: Sequence[float], baseline: Sequence[float]) -> str:
  """Returns why there is no gain; empty if there is one."""
  if any(map(math.isnan, (*arm, *baseline))):
    return "the log has no target for this metric"
  return "" if all(baseline) else "the baseline found nothing"


def _margin(std: float, seeds: int) -> float:
  """Returns the largest mean gain that is not significant."""
  quantile = stats.t.ppf(1 - ALPHA / 2, seeds - 1)
  return float(quantile) * std / math.sqrt(seeds)
