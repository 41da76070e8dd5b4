"""Where a run's metrics go: a JSON-lines file, TensorBoard, a bar."""

import json
import pathlib
from collections.abc import Mapping

import jax
import tensorboardX
import tqdm


class Logs:
  """Writes on the first process only; usable as a context manager."""

  def __init__(self, workdir: pathlib.Path, *, steps: int, start: int):
    self._first = jax.process_index() == 0
    self._bar = tqdm.tqdm(
      total=steps, initial=start, unit="step", disable=not self._first
    )
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

  def advance(self) -> None:
    """Counts a step."""
    self._bar.update()

  def write(self, step: int, metrics: Mapping[str, float]) -> None:
    """Records one step's metrics, all of them finite or not."""
    if not self._first:
      return
    self._file.write(json.dumps({"step": step, **metrics}) + "\n")
    for name, value in metrics.items():
      self._board.add_scalar(name, value, step)
    self._bar.set_postfix({k: f"{v:.4g}" for k, v in metrics.items()})
