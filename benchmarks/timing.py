"""Interleaved timing: a busy machine slows all cases alike."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax


def interleaved(
  cases: Mapping[Any, Callable[[], Any]], rounds: int
) -> dict[Any, list[float]]:
  """Returns the seconds of every case, one measurement per round.

  Each round runs all cases once. A round before the first one compiles and is
  not measured.
  """
  seconds: dict[Any, list[float]] = {name: [] for name in cases}
  for number in range(rounds + 1):
    for name, case in cases.items():
      began = time.perf_counter()
      jax.block_until_ready(case())
      if number:
        seconds[name].append(time.perf_counter() - began)
  return seconds


def compared(
  seconds: Mapping[Any, Sequence[float]], baseline: Any
) -> dict[Any, dict[str, Any]]:
  """Returns each case's median seconds, and how much slower it is.

  The ratio to the baseline is the median of the rounds' ratios, with the
  smallest and the largest.
  """
  found = {}
  for name, values in seconds.items():
    ratios = [a / b for a, b in zip(values, seconds[baseline], strict=True)]
    found[name] = {
      "seconds": statistics.median(values),
      "ratio": statistics.median(ratios),
      "min": min(ratios),
      "max": max(ratios),
    }
  return found
