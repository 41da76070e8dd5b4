"""Being asked to stop: SIGTERM from a scheduler, Ctrl-C from a person."""

import contextlib
import signal
from collections.abc import Callable, Iterator

import jax
import numpy as np


@contextlib.contextmanager
def requests(every: int) -> Iterator[Callable[[int], bool]]:
  """Yields a function telling, per step, whether to save and leave.

  One SIGTERM or Ctrl-C asks; a second Ctrl-C interrupts at once. Several
  processes agree every few steps, so that all stop at the same one; step 0 is
  a time to agree, too.
  """
  asked = False

  def note(number: int, frame: object) -> None:
    nonlocal asked
    del number, frame
    asked = True
    signal.signal(signal.SIGINT, signal.default_int_handler)

  def agreed(step: int) -> bool:
    if jax.process_count() == 1:
      return asked
    if step % every:
      return False
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.array(asked))))

  numbers = (signal.SIGTERM, signal.SIGINT)
  before = {number: signal.signal(number, note) for number in numbers}
  try:
    yield agreed
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
