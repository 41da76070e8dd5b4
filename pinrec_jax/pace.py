"""Rests between the parts of background work, for requests of the process."""

import time
from collections.abc import Callable

# Rests after a part of the work.
Rest = Callable[[], None]
TIMES = 12.0  # A rest is this many times as long as the part before it.


class Pace:
  """Sleeps between parts of work, so that requests are answered meanwhile.

  Python runs one thread at a time. Work that takes 50 ms at once makes all
  requests wait for it.
  """

  def __init__(self, most: float) -> None:
    """Starts the first part.

    Args:
      most: seconds of the longest rest.
    """
    self._most, self._began = most, time.perf_counter()

  def __call__(self) -> None:
    """Rests after a part."""
    took = time.perf_counter() - self._began
    time.sleep(min(TIMES * took, self._most))
    self._began = time.perf_counter()


def unpaced() -> None:
  """Does not rest."""
