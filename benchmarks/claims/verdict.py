"""Decides which claims of a log are reproduced, by users and seeds."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from intervals import Bootstrap
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
    bootstrap: the gain by bootstrap over users and seeds; None if the metric
      has no values per user.
  """

  arm: Sequence[float]
  baseline: Sequence[float]
  paper: float | None = None
  decrease: bool = False
  bootstrap: Bootstrap | None = None


class Verdict(NamedTuple):
  """The outcome of a comparison.

  Attributes:
    gain: relative gain. With a bootstrap, it is the ratio of the two figures,
      pooled over users and seeds, minus 1. Without one, it is the mean over
      seeds of arm / baseline - 1.
    low: lower bound of the gain's 95 % interval.
    high: its upper bound.
    over: what interval and test are over: "users and seeds", "seeds", or
      "users" if there is one seed.
    std: sample standard deviation of arm / baseline - 1 over seeds.
    seeds: number of seeds.
    p: two-sided p-value of the gain.
    adjusted_p: the same, adjusted for all comparisons of the log.
    detectable: smallest gain of this comparison that would be significant,
      given the others.
    label: the verdict.
    reason: why the label is not "reproduced".
  """

  gain: float
  low: float
  high: float
  over: str
  std: float
  seeds: int
  p: float
  adjusted_p: float
  detectable: float
  label: str
  reason: str


def judge(comparisons: Sequence[Comparison]) -> list[Verdict]:
  """Returns the verdicts on all comparisons of a log.

  A gain with a bootstrap is tested by its logarithm, divided by the standard
  error of the bootstrap, in a t-distribution. Any other gain has a two-sided
  paired t-test over the relative gains of the seeds. One seed allows no test.
  The Benjamini-Hochberg method adjusts the p-values, so that at most 5 % of the
  significant gains are expected to be chance. A significant gain in the paper's
  direction is "reproduced" if it is half to five times the paper's. A smaller
  one is "direction only", and a larger one "another regime". A significant gain
  in the other direction is "contradicted".
  """
  estimates = [_estimated(one) for one in comparisons]
  tested = [
    _tested(one, own) for one, own in zip(comparisons, estimates, strict=True)
  ]
  adjusted = adjust([own.p for own in tested])
  known = [p for p in adjusted if not math.isnan(p)]
  # One more significant gain would need a p-value of at most this.
  level = ALPHA * min(1 + sum(p < ALPHA for p in known), len(known) or 1)
  level /= len(known) or 1
  found = []
  for one, estimate, own, p in zip(
    comparisons, estimates, tested, adjusted, strict=True
  ):
    if not math.isnan(p):
      own = own._replace(detectable=estimate.gain(estimate.margin(level)))
    found.append(_labelled(one, own._replace(adjusted_p=p)))
  return found


def adjust(p_values: Sequence[float]) -> list[float]:
  """Returns p-values adjusted by Benjamini and Hochberg; NaN stays NaN."""
  places = [n for n, p in enumerate(p_values) if not math.isnan(p)]
  found = [math.nan] * len(p_values)
  if places:
    known = stats.false_discovery_control([p_values[n] for n in places])
    for n, p in zip(places, known.tolist(), strict=True):
      found[n] = p
  return found


class _Estimate(NamedTuple):
  """A gain on the scale of its test: log(1 + gain), or the gain itself."""

  center: float
  error: float
  freedom: float
  log: bool

  def gain(self, value: float) -> float:
    """Returns the gain at a value of the scale."""
    # math.expm1 fails above 709.
    return math.expm1(min(value, 700.0)) if self.log else value

  def margin(self, level: float) -> float:
    """Returns the smallest value whose p-value is below a level."""
    return float(stats.t.isf(level / 2, self.freedom)) * self.error

  def p(self) -> float:
    """Returns the two-sided p-value of the gain."""
    if not self.error:
      return 0.0 if self.center else 1.0
    return float(2 * stats.t.sf(abs(self.center) / self.error, self.freedom))


def _gains(one: Comparison) -> list[float]:
  """Returns the gain of each seed."""
  return [a / b - 1 for a, b in zip(one.arm, one.baseline, strict=True)]


def _estimated(one: Comparison) -> _Estimate:
  """Returns a gain with its error; NaN if it is unknown."""
  nan = math.nan
  if _missing(one):
    return _Estimate(nan, nan, nan, False)
  if own := one.bootstrap:
    return _Estimate(math.log1p(own.gain), own.error, own.freedom, True)
  gains = _gains(one)
  n, center = len(gains), statistics.mean(gains)
  error = statistics.stdev(gains) / math.sqrt(n) if n > 1 else nan
  return _Estimate(center, error, n - 1, False)


def _tested(one: Comparison, own: _Estimate) -> Verdict:
  """Returns the gain and its test, without a label."""
  nan, seeds = math.nan, len(one.arm)
  over = "seeds"
  if own.log:
    over = "users and seeds" if seeds > 1 else "users"
  margin = own.margin(ALPHA)
  low, high = own.gain(own.center - margin), own.gain(own.center + margin)
  std, p, reason = nan, nan, _missing(one)
  if not reason and seeds == 1:
    reason = "one seed allows no test"
  elif not reason:
    std, p = statistics.stdev(_gains(one)), own.p()
  return Verdict(
    own.gain(own.center), low, high, over, std, seeds, p, nan, nan, "", reason
  )


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
