"""How a program takes part in a contest of benchmarks/contest.py.

It needs nothing but Python, since every peer runs in an environment of its own.
"""

import sys
import time
from collections.abc import Callable

MARK = "turn"  # begins the lines meant for the contest; others are chatter


def wait() -> bool:
  """Says that the program is ready; returns whether it is asked for a turn."""
  print(MARK, "ready", flush=True)
  return bool(sys.stdin.readline())


def tell(seconds: float) -> None:
  """Gives a turn's time."""
  print(MARK, seconds, flush=True)


def take(turn: Callable[[], object]) -> None:
  """Takes turns until there are no more; the first, unasked, warms up."""
  turn()
  while wait():
    began = time.perf_counter()
    turn()
    tell(time.perf_counter() - began)
