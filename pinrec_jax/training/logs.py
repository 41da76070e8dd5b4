"""Metrics of a run: a JSON-lines file, TensorBoard and a progress bar."""

import json
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

import jax
import tensorboardX
import tqdm

from pinrec_jax import sharding

FILE = "metrics.jsonl"
PROFILE_AFTER = 10  # Steps before a profile starts.


class Logs:
  """A context manager that writes metrics, on the first process only."""

  def __init__(self, workdir: pathlib.Path, *, steps: int, start: int):
    self._first = jax.process_index() == 0
    self._bar = tqdm.tqdm(
      total=steps, initial=start, unit="step", disable=not self._first
    )
    self._compiling = True
    self._mark = time.monotonic()
    self.seconds, self.tokens = 0.0, 0
    if self._first:
      path = workdir / FILE
      _end_last_line(path)
      self._file = path.open("a", buffering=1, encoding="utf-8")
      self._board = tensorboardX.SummaryWriter(str(workdir / "tensorboard"))

  def __enter__(self) -> "Logs":
    return self

  def __exit__(self, *error: object) -> None:
    self._bar.close()
    if self._first:
      self._file.close()
      self._board.close()

  def count(self, metrics: Any) -> dict[str, float]:
    """Waits for a step, counts it and returns its metrics.

    The speed is the mean over all steps but the first, which compiles. The time
    before a call of `pause` is left out.
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
    """Writes the metrics of one step."""
    if not self._first:
      return
    self._file.write(json.dumps({"step": step, **values}) + "\n")
    for name, value in values.items():
      self._board.add_scalar(name, value, step)
    self._bar.set_postfix({k: f"{v:.4g}" for k, v in values.items()})


def read(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the rows of a run's metrics; a damaged line is named and left out.

  A killed process may leave half a line.
  """
  path, rows = workdir / FILE, []
  lines = path.read_bytes().splitlines()
  for number, line in enumerate(lines, start=1):
    try:
      row = json.loads(line)
    except ValueError:
      row = None
    if isinstance(row, dict) and "step" in row:
      rows.append(row)
    else:
      text = f"{path}:{number} is damaged: {line[:40]!r}; it is left out"
      print(text, file=sys.stderr)
  return rows


def _end_last_line(path: pathlib.Path) -> None:
  """Ends the last line, so that the next one does not become a part of it."""
  content = path.read_bytes() if path.is_file() else b""
  if content and not content.endswith(b"\n"):
    with path.open("ab") as file:
      file.write(b"\n")


class Profile:
  """A context manager that records steps for TensorBoard's profiler."""

  def __init__(self, workdir: pathlib.Path, *, start: int, steps: int):
    self._folder = workdir / "profile"
    first = start + PROFILE_AFTER + 1
    self._steps = range(first, first + steps)
    self._recording = False

  def __enter__(self) -> "Profile":
    return self

  def __exit__(self, *error: object) -> None:
    self._record(on=False)

  def before(self, step: int) -> None:
    """Starts the recording before its first step, and ends it after its last.

    Call it before every step.
    """
    self._record(on=step in self._steps)

  def _record(self, *, on: bool) -> None:
    if on and not self._recording:
      jax.profiler.start_trace(str(self._folder))
    elif self._recording and not on:
      jax.profiler.stop_trace()
    self._recording = on
