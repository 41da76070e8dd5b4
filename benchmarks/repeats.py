"""Runs of pinrec_jax.main with several seeds, and statistics over seeds."""

import pathlib
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pinrec_jax import files


def report(
  config: str, folder: pathlib.Path, flags: Sequence[str], mode: str = "demo"
) -> dict[str, Any]:
  """Returns the figures of a run, which runs first if it has no report.

  A finished demo serves for every mode.

  Args:
    config: configuration file of the run.
    folder: work folder of the run.
    flags: further flags of pinrec_jax.main.
    mode: the mode to run, and the section of the report to return.
  """
  path = folder / "report.json"
  sections = files.read_json(path) if path.is_file() else {}
  if not {mode, "demo"} & set(sections):
    command = [sys.executable, "-m", "pinrec_jax.main", f"--config={config}"]
    command += [f"--workdir={folder}", f"--mode={mode}", *flags]
    subprocess.run(command, check=True)
    sections = files.read_json(path)
  return sections[mode] if mode in sections else sections["demo"]


def of_seeds(
  config: str,
  workdir: pathlib.Path,
  seeds: int,
  flags: Sequence[str],
  mode: str = "demo",
) -> dict[pathlib.Path, dict[str, Any]]:
  """Returns the figures of every seed by its folder; runs missing seeds."""
  folders = [workdir / f"seed{seed}" for seed in range(seeds)]
  return {
    folder: report(
      config, folder, [f"--config.train.seed={seed}", *flags], mode
    )
    for seed, folder in enumerate(folders)
  }


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
  """Returns mean, sample standard deviation (0 for one seed) and values."""
  return {
    "mean": statistics.mean(values),
    "std": statistics.stdev(values) if len(values) > 1 else 0.0,
    "values": list(values),
  }


def summary(reports: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
  """Returns the statistics of every figure that all reports have."""
  return {
    key: over_seeds([report[key] for report in reports])
    for key in reports[0]
    if all(type(report.get(key)) in (int, float) for report in reports)
  }
