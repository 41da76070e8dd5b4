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


class Steps:
  """Turns of several training steps; the first of each is not counted.

  Memory that another program had since the turn before has to be fetched anew,
  as it has not in training.
  """

  EACH = 4

  def __init__(self) -> None:
    self._seconds: list[float] | None = None  # before anything is compiled
    self._began = 0.0

  def begin(self) -> bool:
    """Begins a step; returns whether it is asked for."""
    asked = self._seconds != [] or wait()
    self._began = time.perf_counter()
    return asked

  def end(self) -> None:
    """Ends it, and the turn if it was the last."""
    taken = time.perf_counter() - self._began
    self._seconds = [] if self._seconds is None else [*self._seconds, taken]
    if len(self._seconds) == self.EACH:
      tell(sum(self._seconds[1:]) / (self.EACH - 1))
      self._seconds = []


class Callback:
  """Turns by a Lightning trainer, in a class that is its Callback too."""

  def __init__(self) -> None:
    super().__init__()
    self._steps = Steps()

  def on_train_batch_start(self, *_: object) -> None:
    """Begins a step."""
    if not self._steps.begin():
      raise SystemExit

  def on_train_batch_end(self, *_: object) -> None:
    """Ends it."""
    self._steps.end()


# Of such a trainer: nothing but steps, for as long as there are turns.
TRAINER = {
  "max_epochs": 10**6,
  "logger": False,
  "enable_checkpointing": False,
  "enable_progress_bar": False,
  "enable_model_summary": False,
}


def train(step: Callable[[], object]) -> None:
  """Takes turns of training steps until there are no more."""
  steps = Steps()
  while steps.begin():
    step()
    steps.end()


def take(turn: Callable[[], object]) -> None:
  """Takes turns until there are no more; the first, unasked, warms up."""
  turn()
  while wait():
    began = time.perf_counter()
    turn()
    tell(time.perf_counter() - began)
