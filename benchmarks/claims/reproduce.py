"""Runs a suite, or goes on with one, and writes what it found."""

import gc
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax

from pinrec_jax import config as config_lib
from pinrec_jax import doctor, rules
from pinrec_jax.claims import report as report_lib
from pinrec_jax.claims import suite as suite_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, statistics
from pinrec_jax.evals import require
from pinrec_jax.evals import run as evals_run
from pinrec_jax.serve import retriever as retriever_lib
from pinrec_jax.training import loop
from pinrec_jax.types import Number

TRAINED = "trained.json"  # in a run's folder once its model is done


def reproduce(suite: suite_lib.Suite, workdir: pathlib.Path) -> dict[str, Any]:
  """Runs what is missing of a suite, one seed of all rows after the other.

  A model that several arms share is trained once. Everything done is kept in
  WORKDIR/runs, so that a suite may be stopped and goes on where it was; the
  report is written after each seed and when it is stopped.

  Returns:
    the report, as in WORKDIR/report.json.

  Raises:
    ValueError: on a row that cannot be, before anything is run.
  """
  known = suite_lib.trainings(suite)
  rules.require_folder(workdir)
  doctor.require(suite.base)
  workdir.mkdir(parents=True, exist_ok=True)
  datasets = _Datasets()
  clock, found = _Clock(suite, workdir, known), {}
  for seed in range(suite.seeds):
    try:
      for own, training in known.items():
        clock.tell(own, training, seed)
        _run(training, seed, _folder(workdir, own, seed), workdir, datasets)
    finally:
      found = _write(suite, workdir)
  return found


def _let_go() -> None:
  """Drops compiled programs, which the next model finds in `train.compiled`.

  Each holds memory maps, of which Linux gives a process 65,530: with those of
  fifty models the next compilation is a segmentation fault.
  """
  jax.clear_caches()
  gc.collect()


def _write(suite: suite_lib.Suite, workdir: pathlib.Path) -> dict[str, Any]:
  figures = gathered(suite, workdir)
  if jax.process_index():
    return {}
  print(f"report: {workdir / 'report.md'}")
  return report_lib.write(suite, figures, workdir)


class _Datasets:
  """The logs that are open, by how they are read."""

  def __init__(self):
    self._open: dict[str, dataset_lib.Dataset] = {}

  def __call__(self, config: config_lib.Data) -> dataset_lib.Dataset:
    if repr(config) not in self._open:
      self._open[repr(config)] = dataset_lib.load(config)
    return self._open[repr(config)]


class _Clock:
  """Tells what is next, and how long all will take."""

  def __init__(
    self,
    suite: suite_lib.Suite,
    workdir: pathlib.Path,
    known: dict[str, suite_lib.Training],
  ):
    self._workdir, self._known = workdir, known
    self._jobs = [(own, s) for s in range(suite.seeds) for own in known]

  def _seconds(self, own: str, seed: int) -> float | None:
    path = _folder(self._workdir, own, seed) / TRAINED
    return json.loads(path.read_text())["seconds"] if path.is_file() else None

  def _rows(self, own: str) -> int:
    train = self._known[own].config.train
    return train.steps * train.batch_size

  def tell(self, own: str, training: suite_lib.Training, seed: int) -> None:
    """Prints a line, unless the model is there."""
    if jax.process_index() or self._seconds(own, seed) is not None:
      return
    took = {job: self._seconds(*job) for job in self._jobs}
    done = [job for job in self._jobs if took[job] is not None]
    rows = sum(self._rows(name) for name, _ in done)
    left = "time left is unknown"
    if rows:
      pace = sum(took[job] or 0.0 for job in done) / rows
      rest = sum(self._rows(name) for name, _ in self._jobs) - rows
      left = f"about {pace * rest / 3600:.1f} hours left"
    print(
      f"{len(done)} of {len(self._jobs)} trained, {left}; next: "
      f"{training.name}, seed {seed}"
    )


def _folder(workdir: pathlib.Path, own: str, seed: int) -> pathlib.Path:
  return workdir / "runs" / own / f"seed{seed}"


def _run(
  training: suite_lib.Training,
  seed: int,
  folder: pathlib.Path,
  workdir: pathlib.Path,
  datasets: Callable[[config_lib.Data], dataset_lib.Dataset],
) -> None:
  """Trains a model unless it is there, and asks what was not asked of it."""
  config = suite_lib.configured(
    training.config, {"train.seed": seed}, training.name
  )
  if training.after:
    config.train.init_from = str(_folder(workdir, training.after, seed))
  asked = {
    key: suite_lib.configured(asking, {"train.seed": seed}, training.name)
    for key, asking in training.asked.items()
    if not (folder / f"asked-{key}.json").is_file()
  }
  done = (folder / TRAINED).is_file()
  if done and not asked:
    return
  dataset = datasets(config.data)
  for asking in asked.values():
    require.lists(asking, dataset)
  folder.mkdir(parents=True, exist_ok=True)
  if not done:
    began = time.monotonic()
    told = loop.train(config, dataset, folder)
    told["seconds"] = time.monotonic() - began
    _save(folder / TRAINED, told)
  trained = loop.best(config, dataset.catalog, folder)
  for key, asking in asked.items():
    measured = datasets(asking.data)
    retriever = retriever_lib.of_dataset(
      asking, trained.model, trained.params, measured
    )
    _save(folder / f"asked-{key}.json", _measured(retriever, measured))
  _let_go()


def _measured(
  retriever: retriever_lib.Retriever, dataset: dataset_lib.Dataset
) -> dict[str, Any]:
  """Returns the figures of the test users, and popularity's beside them."""
  cases = evaluation_cases.cases(dataset, "test")
  items = statistics.item_groups(dataset, "test")
  began = time.monotonic()
  found = evals_run.evaluate(retriever, cases, items=items)
  found["seconds_per_user"] = (time.monotonic() - began) / len(cases)
  return found | evals_run.of_popularity(
    dataset, cases, retriever.config, items=items
  )


def _save(path: pathlib.Path, told: dict[str, Any]) -> None:
  """Writes figures; a file that is there is whole."""
  if jax.process_index():
    return
  half = path.with_suffix(".half")
  half.write_text(json.dumps(told, indent=1) + "\n")
  half.rename(path)


def gathered(
  suite: suite_lib.Suite, workdir: pathlib.Path
) -> dict[str, dict[str, list[dict[str, Number]]]]:
  """Returns the figures there are: by row, by arm, a report a seed.

  Only seeds that all of a row's arms have count, so that they can be paired.
  """
  found: dict[str, dict[str, list[dict[str, Number]]]] = {}
  for name, row in suite.rows.items():
    found[name] = {arm: [] for arm in row.arms}
    keys = {
      arm_name: (
        suite_lib.training_key(suite.base, arm),
        suite_lib.key(suite_lib.asked(suite.base, arm)),
      )
      for arm_name, arm in row.arms.items()
    }
    for seed in range(suite.seeds):
      paths = {
        arm_name: _folder(workdir, own, seed) / f"asked-{key}.json"
        for arm_name, (own, key) in keys.items()
      }
      if all(path.is_file() for path in paths.values()):
        for arm_name, path in paths.items():
          told = json.loads(path.read_text())
          trained = json.loads((path.parent / TRAINED).read_text())
          found[name][arm_name].append(trained | told)
  return found
