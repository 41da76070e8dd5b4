"""Runs of pinrec_jax.main that a benchmark stands on, and their spread."""

import json
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def report(
  config: str, folder: pathlib.Path, flags: Sequence[str]
) -> dict[str, Any]:
  """Returns a run's report; runs it if there is none in the folder yet."""
  path = folder / "report.json"
  if not path.is_file():
    command = [sys.executable, "-m", "pinrec_jax.main", f"--config={config}"]
    subprocess.run([*command, f"--workdir={folder}", *flags], check=True)
  return json.loads(path.read_text())


def of_seeds(
  config: str, workdir: pathlib.Path, seeds: int, flags: Sequence[str]
) -> dict[pathlib.Path, dict[str, Any]]:
  """Returns the report of every seed by its folder; runs what is missing."""
  return {
    folder: report(config, folder, [f"--config.train.seed={seed}", *flags])
    for seed in range(seeds)
    for folder in [workdir / f"seed{seed}"]
  }


def spread(values: Sequence[float]) -> dict[str, Any]:
  """Returns the mean and standard deviation over seeds, 0 of one seed."""
  return {
    "mean": statistics.mean(values),
    "spread": statistics.stdev(values) if len(values) > 1 else 0.0,
    "values": list(values),
  }


def summary(reports: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
  """Returns the spread of every figure of the reports."""
  return {
    key: spread([report[key] for report in reports])
    for key in reports[0]
    if isinstance(reports[0][key], int | float)
  }
