"""A program's side of the protocol of benchmarks/programs.py.

It imports the standard library only, because every program has its own
environment.
"""

import sys
import time
from collections.abc import Callable

MARK = "turn"  # Begins the lines that are meant for benchmarks/programs.py.


def wait() -> bool:
  """Reports that the program is ready; returns whether to take a turn."""
  print(MARK, "ready", flush=True)
  return bool(sys.stdin.readline())


def report(seconds: float) -> None:
  """Reports the time of a turn."""
  print(MARK, seconds, flush=True)


class Steps:
  """Turns of several training steps, without the first step of each.

  The first step reloads memory that another program has evicted from the
  caches. Training alone would not.
  """

  EACH = 4

  def __init__(self) -> None:
    self._seconds: list[float] | None = None  # None until all is compiled.
    self._began = 0.0

  def begin(self) -> bool:
    """Begins a step; returns whether to take it."""
    wanted = self._seconds != [] or wait()
    self._began = time.perf_counter()
    return wanted

  def end(self) -> None:
    """Ends the step, and the turn after its last step."""
    taken = time.perf_counter() - self._began
    self._seconds = [] if self._seconds is None else [*self._seconds, taken]
    if len(self._seconds) == self.EACH:
      report(sum(self._seconds[1:]) / (self.EACH - 1))
      self._seconds = []


class Callback:
  """Turns of a Lightning trainer; a subclass also inherits its Callback."""

  def __init__(self) -> None:
    super().__init__()
    self._steps = Steps()

  def on_train_batch_start(self, *_: object) -> None:
    """Begins a step."""
    if not self._steps.begin():
      raise SystemExit

  def on_train_batch_end(self, *_: object) -> None:
    """Ends the step."""
    self._steps.end()


# Arguments of a Lightning trainer that only takes steps, without an end.
TRAINER = {
  "max_epochs": 10**6,
  "logger": False,
  "enable_checkpointing": False,
  "enable_progress_bar": False,
  "enable_model_summary": False,
}


def train(step: Callable[[], object]) -> None:
  """Takes turns of training steps until no turn is wanted."""
  steps = Steps()
  while steps.begin():
    step()
    steps.end()


def take(turn: Callable[[], object]) -> None:
  """Takes turns until none is wanted; the first one warms up."""
  turn()
  while wait():
    began = time.perf_counter()
    turn()
    report(time.perf_counter() - began)
