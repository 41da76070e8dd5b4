"""Whether what was measured bears a claim out."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

# Two-sided 95 % quantiles of Student's t by degrees of freedom; beyond, 1.96.
T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
LEAST = 0.5  # share of the paper's gain from which its size, too, is reproduced


class Verdict(NamedTuple):
  """What seeds that were paired say of a gain."""

  gain: float  # mean over seeds of arm / over - 1
  spread: float  # its standard deviation over seeds
  seeds: int
  label: str
  reason: str


def judge(
  arm: Sequence[float],
  over: Sequence[float],
  paper: float | None = None,
  *,
  loss: bool = False,
) -> Verdict:
  """Judges the gain of an arm over another, seed by seed.

  A gain is told from none by a paired t-test at 5 %. It is "reproduced" if it
  also is at least half of the paper's, "direction only" if it is smaller or
  not told from none, and "not reproduced" if it is a loss.

  Args:
    arm: a figure of each seed.
    over: the other arm's, of the same seeds.
    paper: the gain it tells; None if it tells no number.
    loss: gain and loss change places.
  """
  if not all(over):
    return Verdict(
      math.nan, math.nan, len(arm), "undefined", "the other arm found nothing"
    )
  gains = [a / b - 1 for a, b in zip(arm, over, strict=True)]
  n, gain = len(gains), statistics.mean(gains)
  spread = statistics.stdev(gains) if n > 1 else math.nan
  toward = -gain if loss else gain
  if toward <= 0:
    label, reason = "not reproduced", "it points the other way"
    if not gain:
      reason = "no difference"
    elif n > 1 and abs(gain) <= _margin(spread, n):
      reason += ", within the spread of seeds"
  elif n == 1:
    label, reason = "direction only", "one seed tells no spread"
  elif toward <= _margin(spread, n):
    label, reason = "direction only", "within the spread of seeds"
  elif toward < LEAST * (paper or 0.0):
    label, reason = "direction only", "less than half of the paper's"
  else:
    label, reason = "reproduced", ""
  return Verdict(gain, spread, n, label, reason)


def _margin(spread: float, seeds: int) -> float:
  quantile = T[seeds - 2] if seeds - 2 < len(T) else 1.96
  return quantile * spread / math.sqrt(seeds)
