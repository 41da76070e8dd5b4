"""Requests to stop: SIGTERM from a scheduler, or Ctrl-C."""

import contextlib
import signal
from collections.abc import Callable, Iterator

import jax
import numpy as np


@contextlib.contextmanager
def requests(every: int) -> Iterator[Callable[[int], bool]]:
  """Yields a function that returns whether to stop after a step.

  The first SIGTERM or Ctrl-C is a request. A second Ctrl-C interrupts at once.

  Args:
    every: steps between agreements. Several processes agree at multiples of
      this number, and at step 0, so that all stop after the same step.
  """
  requested = False

  def _note(number: int, frame: object) -> None:
    nonlocal requested
    del number, frame
    requested = True
    signal.signal(signal.SIGINT, signal.default_int_handler)

  def _agreed(step: int) -> bool:
    if jax.process_count() == 1:
      return requested
    if step % every:
      return False
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.array(requested))))

  signals = (signal.SIGTERM, signal.SIGINT)
  before = {number: signal.signal(number, _note) for number in signals}
  try:
    yield _agreed
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
