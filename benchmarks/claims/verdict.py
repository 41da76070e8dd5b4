"""Whether what was measured bears a claim out."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scipy import stats

ERROR = 0.05  # how often a gain is told where there is none
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

  A gain is told from none by a paired t-test at 5 %; one that is not is "within
  the spread" of seeds, whichever way it points. One that is told is
  "reproduced" if it is at least half of the paper's, "direction only" if it is
  smaller, and "not reproduced" if it is a loss.

  Args:
    arm: a figure of each seed.
    over: the other arm's, of the same seeds.
    paper: the gain it tells; None if it tells no number.
    loss: gain and loss change places.
  """
  if missing := _missing(arm, over):
    return Verdict(math.nan, math.nan, len(arm), "undefined", missing)
  gains = [a / b - 1 for a, b in zip(arm, over, strict=True)]
  n, gain = len(gains), statistics.mean(gains)
  spread = statistics.stdev(gains) if n > 1 else math.nan
  toward = -gain if loss else gain
  if n == 1:
    label = "direction only" if toward > 0 else "not reproduced"
    reason = "one seed tells no spread"
  elif abs(gain) <= _margin(spread, n):
    label, reason = "within the spread", "not told from no difference"
  elif toward < 0:
    label, reason = "not reproduced", "it points the other way"
  elif toward < LEAST * (paper or 0.0):
    label, reason = "direction only", "less than half of the paper's"
  else:
    label, reason = "reproduced", ""
  return Verdict(gain, spread, n, label, reason)


def _missing(arm: Sequence[float], over: Sequence[float]) -> str:
  """Returns why there is no gain to tell; empty where there is one."""
  if any(map(math.isnan, (*arm, *over))):
    return "nothing of what it counts was there to be found"
  return "" if all(over) else "the other arm found nothing"


def _margin(spread: float, seeds: int) -> float:
  quantile = stats.t.ppf(1 - ERROR / 2, seeds - 1)
  return float(quantile) * spread / math.sqrt(seeds)
