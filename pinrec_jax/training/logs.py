"""Where a run's metrics go: a JSON-lines file, TensorBoard, a bar."""

import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jax
import tensorboardX
import tqdm

from pinrec_jax import sharding

SETTLED = 10  # steps, after which a profile begins


class Logs:
  """Writes on the first process only; usable as a context manager."""

  def __init__(self, workdir: pathlib.Path, *, steps: int, start: int):
    self._first = jax.process_index() == 0
    self._bar = tqdm.tqdm(
      total=steps, initial=start, unit="step", disable=not self._first
    )
    self._compiling = True
    self._mark = time.monotonic()
    self.seconds, self.tokens = 0.0, 0
    if self._first:
      self._file = (workdir / "metrics.jsonl").open("a", buffering=1)
      self._board = tensorboardX.SummaryWriter(str(workdir / "tensorboard"))

  def __enter__(self) -> "Logs":
    return self

  def __exit__(self, *error: object) -> None:
    self._bar.close()
    if self._first:
      self._file.close()
      self._board.close()

  def count(self, metrics: Any) -> dict[str, float]:
    """Waits for a step's metrics and counts the step.

    The speed is that of all steps but the first, which compiles, without the
    time between `pause` calls and the steps before them.
    """
    values = {k: float(v) for k, v in sharding.on_host(metrics).items()}
    now = time.monotonic()
    if not self._compiling:
      self.seconds += now - self._mark
      self.tokens += int(values["tokens"])
      values["tokens_per_s"] = self.tokens / self.seconds
    self._compiling = False
    self._mark = now
    self._bar.update()
    return values

  def pause(self) -> None:
    """Leaves the time since the last step out of the speed."""
    self._mark = time.monotonic()

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Records one step's figures."""
    if not self._first:
      return
    self._file.write(json.dumps({"step": step, **values}) + "\n")
    for name, value in values.items():
      self._board.add_scalar(name, value, step)
    self._bar.set_postfix({k: f"{v:.4g}" for k, v in values.items()})


class Profile:
  """Records steps for TensorBoard's profiler; usable as a context manager."""

  def __init__(self, workdir: pathlib.Path, *, start: int, steps: int):
    self._folder = workdir / "profile"
    first = start + SETTLED + 1
    self._steps = range(first, first + steps)
    self._recording = False

  def __enter__(self) -> "Profile":
    return self

  def __exit__(self, *error: object) -> None:
    self._record(on=False)

  def before(self, step: int) -> None:
    """Begins before the first step to be recorded, ends after the last."""
    self._record(on=step in self._steps)

  def _record(self, *, on: bool) -> None:
    if on and not self._recording:
      jax.profiler.start_trace(str(self._folder))
    elif self._recording and not on:
      jax.profiler.stop_trace()
    self._recording = on
