"""Decides from paired seeds which claims of a log are reproduced."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scipy import stats

ALPHA = 0.05  # False discovery rate over all comparisons of a log.
# Fraction of the paper's change from which its size counts as reproduced.
MIN_FRACTION = 0.5
# Multiple of the paper's change above which something else is at work.
MAX_FRACTION = 5.0


class Comparison(NamedTuple):
  """An arm and its baseline, with one figure per seed.

  Attributes:
    arm: the arm's figure of each seed.
    baseline: the baseline's figure of each seed.
    paper: relative gain that the paper reports; None if it gives no number.
    decrease: whether the paper reports a decrease.
  """

  arm: Sequence[float]
  baseline: Sequence[float]
  paper: float | None = None
  decrease: bool = False


class Verdict(NamedTuple):
  """The outcome of a comparison.

  Attributes:
    gain: mean over seeds of arm / baseline - 1.
    std: sample standard deviation of the gain over seeds.
    seeds: number of seeds.
    p: of the paired t-test.
    adjusted_p: the same, adjusted for all comparisons of the log.
    detectable: smallest gain of this comparison that would be significant,
      given the others.
    label: the verdict.
    reason: why the label is not "reproduced".
  """

  gain: float
  std: float
  seeds: int
  p: float
  adjusted_p: float
  detectable: float
  label: str
  reason: str


def judge(comparisons: Sequence[Comparison]) -> list[Verdict]:
  """Returns the verdicts on all comparisons of a log.

  Each gain has a two-sided paired t-test over the relative gains of the seeds.
  The Benjamini-Hochberg method adjusts the p-values, so that at most 5 % of the
  significant gains are expected to be chance. A significant gain in the paper's
  direction is "reproduced" if it is half to five times the paper's. A smaller
  one is "direction only", and a larger one "another regime". A significant gain
  in the other direction is "contradicted".
  """
  tested = [_tested(one) for one in comparisons]
  adjusted = adjust([own.p for own in tested])
  known = [p for p in adjusted if not math.isnan(p)]
  # One more significant gain would need a p-value of at most this.
  level = ALPHA * min(1 + sum(p < ALPHA for p in known), len(known) or 1)
  level /= len(known) or 1
  return [
    _labelled(one, own._replace(adjusted_p=p, detectable=_smallest(own, level)))
    for one, own, p in zip(comparisons, tested, adjusted, strict=True)
  ]


def _smallest(own: Verdict, level: float) -> float:
  """Returns the smallest gain whose p-value is below a level."""
  if math.isnan(own.p):
    return math.nan
  quantile = float(stats.t.ppf(1 - level / 2, own.seeds - 1))
  return quantile * own.std / math.sqrt(own.seeds)


def adjust(p_values: Sequence[float]) -> list[float]:
  """Returns p-values adjusted by Benjamini and Hochberg; NaN stays NaN."""
  places = [n for n, p in enumerate(p_values) if not math.isnan(p)]
  found = [math.nan] * len(p_values)
  if places:
    known = stats.false_discovery_control([p_values[n] for n in places])
    for n, p in zip(places, known.tolist(), strict=True):
      found[n] = p
  return found


def _tested(one: Comparison) -> Verdict:
  """Returns the gain and its test, without a label."""
  nan = math.nan
  if missing := _missing(one):
    return Verdict(nan, nan, len(one.arm), nan, nan, nan, "", missing)
  gains = [a / b - 1 for a, b in zip(one.arm, one.baseline, strict=True)]
  n, gain = len(gains), statistics.mean(gains)
  if n == 1:
    return Verdict(gain, nan, n, nan, nan, nan, "", "one seed allows no test")
  std = statistics.stdev(gains)
  error = std / math.sqrt(n)
  if error:
    p = float(2 * stats.t.sf(abs(gain) / error, n - 1))
  else:
    p = 0.0 if gain else 1.0
  return Verdict(gain, std, n, p, nan, nan, "", "")


def _missing(one: Comparison) -> str:
  """Returns why there is no gain; empty if there is one."""
  if any(map(math.isnan, (*one.arm, *one.baseline))):
    return "the log has no target for this metric"
  return "" if all(one.baseline) else "the baseline found nothing"


def _labelled(one: Comparison, own: Verdict) -> Verdict:
  """Returns a tested gain with its label and the reason."""
  size = -own.gain if one.decrease else own.gain
  paper = abs(one.paper or 0.0)
  if own.reason:
    return own._replace(label="not testable")
  if own.adjusted_p >= ALPHA:
    label = "no significant difference"
    reason = f"a gain below {100 * own.detectable:.1f} % cannot be seen here"
  elif size < 0:
    label, reason = "contradicted", "significant in the other direction"
  elif size < MIN_FRACTION * paper:
    label, reason = "direction only", "less than half of the paper's change"
  elif paper and size > MAX_FRACTION * paper:
    label, reason = "another regime", "over five times the paper's change"
  else:
    label, reason = "reproduced", ""
  return own._replace(label=label, reason=reason)
