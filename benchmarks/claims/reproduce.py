"""Reproduces claims of the paper on a public log.

  python benchmarks/claims/reproduce.py --log=pure --rows=budget,logq \
    --seeds=3 --workdir=runs/claims-pure --config.data.source=FOLDER

`--log` is one of logs.py, and `--rows` lists modules of rows/; without it, all
rows run that the log can show. `--config.FIELD=VALUE` changes all arms.

A model that several arms share is trained once. Models and their figures are
kept in WORKDIR/runs. So the command may be stopped, and continues when it is
given again. WORKDIR/report.md has tables and verdicts, report.json the figures
behind them, and each row has a plot. What each user adds to the figures is kept
beside them, for the intervals over users and seeds. A model without it, from an
earlier version, is evaluated again but not trained again.
"""

import argparse
import gc
import math
import pathlib
import sys
import time
from typing import Any

import cold_items
import intervals
import jax
import logs
import report as report_lib
import rows
import suite as suite_lib
import unseen_users
from absl import flags
from ml_collections import config_flags

from pinrec_jax import config as config_lib
from pinrec_jax import files, opening, processes, reports, workflows
from pinrec_jax.evals import evaluate
from pinrec_jax.training import errors

HERE = pathlib.Path(__file__).parent
TRAINED = "trained.json"  # In a run's folder, once its model is trained.
SUFFIXES = (".json", ".npz")  # Figures, and what each user adds to them.


def main(arguments: list[str]) -> None:
  """Runs what the arguments ask for."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--log", choices=list(logs.LOGS), default="mini")
  parser.add_argument("--rows", default="", help="by default all")
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  options, rest = parser.parse_known_args(arguments)
  try:
    base = base_of(options.log, rest)
    names = [name for name in options.rows.split(",") if name]
    suite = rows.suite_of(options.log, base, names, options.seeds)
    with processes.together():
      reproduce(suite, options.workdir)
  except (OSError, ValueError, errors.RunDivergedError) as error:
    sys.exit(f"error: {error}")
  except errors.RunStoppedError as stop:
    print(stop, file=sys.stderr)
    sys.exit(75)  # EX_TEMPFAIL of sysexits.h, as pinrec_jax.main.


def base_of(log: str, overrides: list[str]) -> config_lib.Config:
  """Returns a log's configuration with the fields of the command line.

  Raises:
    ValueError: on an unknown field or flag.
  """
  values = flags.FlagValues()
  argv = [sys.argv[0], f"--config={HERE / 'logs.py'}:{log}", *overrides]
  config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
  try:
    rest = values(argv)[1:]
  except (AttributeError, KeyError, TypeError, flags.Error) as error:
    raise ValueError(error) from error
  if rest:
    raise ValueError(f"unexpected arguments {rest}; use --name=value")
  return values.config


def reproduce(suite: suite_lib.Suite, workdir: pathlib.Path) -> dict[str, Any]:
  """Runs the missing parts of a suite: all rows with one seed, then the next.

  The report is written after each seed, and if the suite is stopped.

  Returns:
    The content of WORKDIR/report.json.

  Raises:
    ValueError: on an invalid row, before anything runs.
  """
  models = suite_lib.models(suite)
  workflows.check(config_lib.replace(suite.base), workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  clock, result = _Clock(suite, workdir, models), {}
  for seed in range(suite.seeds):
    try:
      for key, model in models.items():
        clock.show(key, model, seed)
        _run(model, seed, folder_of(workdir, key, seed), workdir)
    finally:
      result = _write(suite, workdir)
  return result


def _write(suite: suite_lib.Suite, workdir: pathlib.Path) -> dict[str, Any]:
  if jax.process_index():
    return {}
  print(f"report: {workdir / 'report.md'}")
  return report_lib.write(suite, gathered(suite, workdir), workdir)


class _Clock:
  """Prints which model is next and how long the rest will take."""

  def __init__(
    self,
    suite: suite_lib.Suite,
    workdir: pathlib.Path,
    models: dict[str, suite_lib.Model],
  ) -> None:
    self._workdir, self._models = workdir, models
    self._jobs = [(key, s) for s in range(suite.seeds) for key in models]

  def _seconds(self, key: str, seed: int) -> float | None:
    path = folder_of(self._workdir, key, seed) / TRAINED
    return files.read_json(path)["seconds"] if path.is_file() else None

  def _examples(self, key: str) -> int:
    train = self._models[key].config.train
    return train.steps * train.batch_size

  def show(self, key: str, model: suite_lib.Model, seed: int) -> None:
    """Prints a line, unless the model is trained already."""
    if jax.process_index() or self._seconds(key, seed) is not None:
      return
    took = {job: self._seconds(*job) for job in self._jobs}
    done = [job for job in self._jobs if took[job] is not None]
    examples = sum(self._examples(key) for key, _ in done)
    left = "time left is unknown"
    if examples:
      pace = sum(took[job] or 0.0 for job in done) / examples
      rest = sum(self._examples(key) for key, _ in self._jobs) - examples
      left = f"about {pace * rest / 3600:.1f} hours left"
    print(
      f"{len(done)} of {len(self._jobs)} trained, {left}; next: {model.name}, "
      f"seed {seed}"
    )


def folder_of(workdir: pathlib.Path, key: str, seed: int) -> pathlib.Path:
  return workdir / "runs" / key / f"seed{seed}"


def _run(
  model: suite_lib.Model, seed: int, folder: pathlib.Path, workdir: pathlib.Path
) -> None:
  """Trains a model and evaluates it, unless its figures are there."""
  missing = {
    key: config
    for key, config in model.evaluations.items()
    if not all((folder / f"{key}{end}").is_file() for end in SUFFIXES)
  }
  trained = (folder / TRAINED).is_file()
  if trained and not missing:
    return
  fields: dict[str, Any] = {"train.seed": seed}
  if not trained:
    first = dict(fields)
    if model.init_from:
      source = folder_of(workdir, model.init_from, seed)
      first["train.init_from"] = str(source)
    config = suite_lib.configured(model.config, first, model.name)
    config, dataset = opening.load(config)
    if model.cold_fraction:
      dataset = cold_items.split(dataset, model.cold_fraction).training
    if model.unseen_users:
      dataset = unseen_users.without(dataset)
    began = time.monotonic()
    figures = workflows.train(config, folder, dataset).figures()
    _save(folder / TRAINED, {**figures, "seconds": time.monotonic() - began})
  for key, config in missing.items():
    own = suite_lib.configured(config, fields, model.name)
    _evaluate(own, folder, key, model.cold_fraction)
  # Each compiled program holds memory maps, and Linux gives a process 65,530 of
  # them. Those of fifty models would crash the next compilation.
  jax.clear_caches()
  gc.collect()


def _evaluate(
  config: config_lib.Config,
  folder: pathlib.Path,
  key: str,
  cold_fraction: float,
) -> None:
  """Writes a model's figures on the test users, with those of popularity."""
  config, dataset = opening.load(config)
  parts = None
  if cold_fraction:
    parts = cold_items.split(dataset, cold_fraction)
    dataset = parts.evaluation
  found = workflows.retriever(config, folder, dataset)
  report = workflows.evaluate(config, folder, dataset, found)
  cold = evaluate.Measured({}, {})
  if parts:
    cold = cold_items.measure(config, folder, parts, found)
  unseen = unseen_users.measured(dataset, report)
  if jax.process_index() == 0:
    sums = report.user_sums | cold.sums | unseen.sums
    intervals.save(folder / f"{key}.npz", report.user_ids, sums)
  figures = report.figures() | cold.figures | unseen.figures
  _save(folder / f"{key}.json", figures)


def _save(path: pathlib.Path, figures: reports.Figures) -> None:
  if jax.process_index() == 0:
    files.write_json(path, figures)


def gathered(
  suite: suite_lib.Suite, workdir: pathlib.Path
) -> dict[str, report_lib.Measured]:
  """Returns the figures of all finished seeds and the gains, by row.

  A seed counts once all arms of the row have it, so that seeds can be paired.

  Raises:
    ValueError: if arms of a test were evaluated on different users.
  """
  return {
    name: _of_row(suite, row, workdir) for name, row in suite.rows.items()
  }


def _of_row(
  suite: suite_lib.Suite, row: suite_lib.Row, workdir: pathlib.Path
) -> report_lib.Measured:
  paths: dict[str, list[pathlib.Path]] = {arm: [] for arm in row.arms}
  keys = {
    name: (
      suite_lib.model_key(suite.base, arm),
      suite_lib.key(suite_lib.evaluated(suite.base, arm)),
    )
    for name, arm in row.arms.items()
  }
  for seed in range(suite.seeds):
    own = {
      name: folder_of(workdir, model, seed) / f"{key}.json"
      for name, (model, key) in keys.items()
    }
    if all(path.is_file() for path in own.values()):
      for name, path in own.items():
        paths[name].append(path)
  return report_lib.Measured(
    {arm: [_figures(path) for path in own] for arm, own in paths.items()},
    intervals.of_row(
      {a: [p.with_suffix(".npz") for p in own] for a, own in paths.items()},
      row.tests,
    ),
  )


def _figures(path: pathlib.Path) -> dict[str, float]:
  """Returns the figures of an evaluation; JSON has null in place of NaN."""
  own = files.read_json(path.parent / TRAINED) | files.read_json(path)
  return {key: math.nan if v is None else v for key, v in own.items()}


if __name__ == "__main__":
  main(sys.argv[1:])
