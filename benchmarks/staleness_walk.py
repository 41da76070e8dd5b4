"""The trainings and updates of benchmarks/staleness.py, and their costs."""

import datetime
import pathlib
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import kuairand_days

from pinrec_jax import config as config_lib
from pinrec_jax import config_files, files
from pinrec_jax.training import daily

Date = datetime.date
LINE = (
  "date", "reason", "published", "gate_targets", "recall", "yesterday",
  "popularity", "targets", "replayed", "steps",
)  # fmt: skip
SCRATCH, UPDATES = "scratch", "updates"  # Folders of costs.


class Walk:
  """The walk of one seed through the days."""

  def __init__(
    self,
    workdir: pathlib.Path,
    seed: int,
    days: Sequence[Date],
    steps: int = kuairand_days.STEPS,
  ) -> None:
    self.days, self.seed, self.steps = days, seed, steps
    self.log, self.folder = workdir / "log", workdir / f"seed{seed}"
    self.folder.mkdir(parents=True, exist_ok=True)

  def config(self, day: Date, trained: Date) -> config_lib.Config:
    """Returns the configuration of a run on the morning of a day."""
    return kuairand_days.configured(
      self.log,
      self.folder / "prepared",
      day,
      trained,
      self.seed,
      self.steps,
    )

  def scratch(self, day: Date) -> pathlib.Path:
    """Returns the work folder of a training from scratch, which runs first."""
    folder, name = self.folder / SCRATCH / str(day), f"{SCRATCH}/{day}"
    if not self._cost(name).is_file():
      # A killed training starts again, so that its cost is whole.
      shutil.rmtree(folder, ignore_errors=True)
    self._run(self.config(day, day), folder, name, "train", "index")
    return folder

  def updated(self, day: Date) -> pathlib.Path:
    """Returns the folder of the model of a day, after its update."""
    first, folder = self.days[0], self.folder / "daily"
    if not folder.is_dir():
      copy = self.folder / "unfinished"
      shutil.rmtree(copy, ignore_errors=True)
      shutil.copytree(self.scratch(first), copy)
      copy.rename(folder)
    if day == first:
      return folder
    self.updated(day - kuairand_days.ONE_DAY)
    config = self.config(day, first)
    self._run(config, folder, f"{UPDATES}/{day}", "update")
    lines = daily.read(folder)[: (day - first).days]
    published = [""] + [str(o["model"]) for o in lines if o["published"]]
    return folder / published[-1]

  def lines(self) -> list[dict[str, Any]]:
    """Returns what each update says of itself."""
    return [
      {name: line[name] for name in LINE if name in line}
      for line in daily.read(self.folder / "daily")
    ]

  def cost(self, name: str) -> dict[str, float]:
    """Returns the CPU seconds of a run."""
    return files.read_json(self._cost(name))

  def _cost(self, name: str) -> pathlib.Path:
    return self.folder / "costs" / f"{name}.json"

  def _run(
    self,
    config: config_lib.Config,
    folder: pathlib.Path,
    name: str,
    *modes: str,
  ) -> None:
    """Runs modes of the package in a process, if they have not run."""
    cost = self._cost(name)
    if cost.is_file():
      return
    given = cost.with_suffix(".config.json")
    files.write(given, config_files.to_json(config))
    program = str(pathlib.Path(__file__).with_name("command_cost.py"))
    command = [sys.executable, program, given, folder, cost, *modes]
    subprocess.run(list(map(str, command)), check=True)


def costs(walks: Sequence[Walk]) -> dict[str, dict[str, dict[str, float]]]:
  """Returns CPU seconds of trainings and updates, medians over seeds.

  The first update of a seed compiles programs. The last one finds those of
  earlier days, unless its number of steps is new. Both are compared with the
  training from scratch of the same day.
  """
  days = walks[0].days
  found = {}
  for which, day in (("first", days[1]), ("last", days[-1])):
    own = {
      name: {
        kind: statistics.median(w.cost(f"{name}/{day}")[kind] for w in walks)
        for kind in ("training", "command")
      }
      for name in (SCRATCH, UPDATES)
    }
    ratio = {
      kind: seconds / own[SCRATCH][kind]
      for kind, seconds in own[UPDATES].items()
    }
    found[which] = {**own, "ratio": ratio}
  return found
