"""What the program does, one function a mode."""

import dataclasses
import json
import pathlib
import time
from typing import Any

import jax
import numpy as np

from pinrec_jax import config as config_lib
from pinrec_jax import doctor as doctor_lib
from pinrec_jax import rules
from pinrec_jax.data import checks, profile, splits
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.decode import budget as budget_lib
from pinrec_jax.evals import plots, require, tables
from pinrec_jax.evals import run as evals_run
from pinrec_jax.serve import artifact
from pinrec_jax.serve import retriever as retriever_lib
from pinrec_jax.training import loop

TWIN = "uc"  # the unconditioned twin's folder within a run's


def run(
  mode: str, config: config_lib.Config, workdir: pathlib.Path
) -> dict[str, Any]:
  """Runs a mode and adds what it found to the work folder's report.json.

  Args:
    mode: one of MODES.
    config: checked before anything else.
    workdir: made if need be.
  """
  rules.validate(config)
  rules.require_folder(workdir)
  if mode != "doctor":  # which says so itself, among the rest
    doctor_lib.require(config)
  report = MODES[mode](config, workdir)
  if _first():
    workdir.mkdir(parents=True, exist_ok=True)
    path = workdir / "report.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(known | report, indent=1) + "\n")
    print(f"report: {path}")
  return report


def doctor(config: config_lib.Config, workdir: pathlib.Path) -> dict[str, Any]:
  """Prints what a run would stand on.

  Raises:
    ValueError: naming all that is wrong, once all has been printed.
  """
  found = list(doctor_lib.examine(config, workdir))
  for name, value, remedy in found:
    _say(f"{'!!' if remedy else 'ok'}  {name:24} {value}")
  wrong = [f"{name}: {remedy}" for name, _, remedy in found if remedy]
  if wrong:
    raise ValueError("\n  ".join([f"{len(wrong)} to mend", *wrong]))
  return {f"doctor/{name}": value for name, value, _ in found}


def prepare(config: config_lib.Config, workdir: pathlib.Path) -> dict[str, Any]:
  """Prepares a log if need be, and shows what it holds and what it lost."""
  dataset = dataset_lib.load(config.data)
  found = profile.of_dataset(dataset, config.data.session_gap)
  faults = checks.load(dataset.folder)
  if _first():
    plots.profile(found, workdir / "profile.png")
  _say(tables.profile(found.figures))
  _say(f"{faults.rejected:,} of {faults.rows:,} rows were left out")
  _say(str(faults))
  _say(f"prepared: {dataset.folder}")
  return {f"data/{k}": n for k, n in (found.figures | faults.figures).items()}


def train(config: config_lib.Config, workdir: pathlib.Path) -> dict[str, Any]:
  """Trains a model, or goes on where its work folder stopped."""
  return _fit(config, _load(config), workdir)


def evaluate(
  config: config_lib.Config, workdir: pathlib.Path
) -> dict[str, Any]:
  """Evaluates the best checkpoint on the test users."""
  dataset = _load(config, twin=_twin_done(config, workdir))
  retriever, _ = _retriever(config, dataset, workdir)
  return _measure(retriever, dataset, workdir)


def index(config: config_lib.Config, workdir: pathlib.Path) -> dict[str, Any]:
  """Builds the index of the best checkpoint and writes it."""
  return _write_index(config, _load(config), workdir)[0]


def demo(config: config_lib.Config, workdir: pathlib.Path) -> dict[str, Any]:
  """Trains, indexes and evaluates, and shows what turning the budget does."""
  began = time.monotonic()
  wanted = config.evals.twin and config.model.conditioned
  dataset = _load(config, twin=wanted)
  report = _fit(config, dataset, workdir)
  if wanted:
    _say("training the unconditioned twin, for as long")
    _fit(_twin(config), dataset, workdir / TWIN)
  written, retriever = _write_index(config, dataset, workdir)
  report |= written | _measure(retriever, dataset, workdir)
  report["seconds"] = time.monotonic() - began
  return report


def _load(
  config: config_lib.Config, *, twin: bool = False
) -> dataset_lib.Dataset:
  """Returns the log, once all that a run will ask of it is known to be there.

  Args:
    config: what to run.
    twin: it is compared with the unconditioned twin, at equal vectors.

  Raises:
    ValueError: on an outcome, a surface or a list size the log cannot have, or
      more vectors than the twin can take steps.
  """
  dataset = dataset_lib.load(config.data)
  vocabulary, decode = dataset.vocabulary, config.decode
  if decode.budget:
    budget_lib.parse(decode.budget, vocabulary)
  if decode.surface:
    vocabulary.surface(decode.surface)
  if decode.item_type:
    vocabulary.item_type(decode.item_type)
  for name in config.evals.sweep:
    vocabulary.outcome(name)
  require.lists(config, dataset, candidates=decode.candidates)
  if twin:
    require.steps(config, dataset)
  return dataset


def _first() -> bool:
  """Whether this process is the one that writes and prints."""
  try:
    return jax.process_index() == 0
  except RuntimeError:  # no device, of which the doctor tells
    return True


def _say(text: str) -> None:
  if _first():
    print(text)


def _fit(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  workdir: pathlib.Path,
) -> dict[str, Any]:
  workdir.mkdir(parents=True, exist_ok=True)
  report = loop.train(config, dataset, workdir)
  if "inherited_step" in report:
    _say(
      f"began with the {report['inherited_parameters']:,} parameters of "
      f"{config.train.start_from}, step {report['inherited_step']}; optimizer, "
      "data order and counts were new"
    )
  if _first():
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    plots.training([json.loads(t) for t in lines], workdir / "training.png")
  return report


def _retriever(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  workdir: pathlib.Path,
) -> tuple[retriever_lib.Retriever, int]:
  """Returns a run's best checkpoint, ready for requests, and its step."""
  trained = loop.best(config, dataset.catalogue, workdir)
  retriever = retriever_lib.of_dataset(
    config, trained.model, trained.params, dataset
  )
  return retriever, trained.step


def _write_index(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  workdir: pathlib.Path,
) -> tuple[dict[str, Any], retriever_lib.Retriever]:
  began = time.monotonic()
  retriever, step = _retriever(config, dataset, workdir)
  if _first():
    artifact.save(retriever, dataset.catalogue, workdir / "index", step=step)
  cases = splits.cases(dataset, "validation", limit=config.evals.batch)
  report = {
    "index": type(retriever.index).__name__.lower(),
    "index_items": len(retriever.catalogue),
    "index_seconds": time.monotonic() - began,
    "scann_recall@100": evals_run.index_recall(retriever, cases),
  }
  return report, retriever


def _measure(
  retriever: retriever_lib.Retriever,
  dataset: dataset_lib.Dataset,
  workdir: pathlib.Path,
) -> dict[str, Any]:
  """Evaluates on the test users, plots and prints; the twin too, if any."""
  config, vocabulary = retriever.config, dataset.vocabulary
  evals = config.evals
  cases = splits.cases(dataset, "test")
  items = splits.known_by(dataset, "test")
  report = evals_run.evaluate(retriever, cases, items=items)
  report |= evals_run.of_popularity(dataset, cases, config, items=items)
  models = {"": "PinRec-OC" if config.model.conditioned else "PinRec-UC"}
  if _twin_done(config, workdir):
    twin, _ = _retriever(_twin(config), dataset, workdir / TWIN)
    report |= evals_run.evaluate(twin, cases, items=items, prefix="uc_")
    report |= evals_run.unordered(
      twin, cases, vectors=int(report["vectors"]), prefix="uc_"
    )
    models["uc_"] = "PinRec-UC"
  if evals.told_time:
    report |= evals_run.told_time(
      retriever, cases, items=items, prefix="told_time_"
    )
    models["told_time_"] = "told its target's time"
  models["popularity_"] = "popularity"
  report["test_users"] = len(cases)
  targets = np.concatenate([case.targets.item for case in cases])
  report["test_targets"] = len(targets)
  for name, some in items.items():
    report[f"test_targets/{name}_items"] = int(some[targets].sum())
  shown = [name for name in evals.sweep if name in vocabulary.outcome_names]
  for k in evals.cutoffs if _first() else ():
    plots.recalls(report, models, shown, k, workdir / f"recall@{k}.png")
  _say(tables.recalls(report, models, shown, evals.cutoffs))
  if config.model.conditioned and len(shown) > 1:
    some = splits.cases(dataset, "test", limit=evals.sweep_users)
    rows = evals_run.sweep(retriever, some)
    if _first():
      plots.budget_sweep(rows, workdir / "budget_sweep.png")
    _say(tables.sweep(rows, max(evals.cutoffs)))
    report |= tables.flat(rows, "sweep")
  if evals.examples:
    _say(tables.examples(retriever, dataset.catalogue, cases, evals.examples))
  return report


def _twin_done(config: config_lib.Config, workdir: pathlib.Path) -> bool:
  """Whether there is a twin to be compared with."""
  drawn = workdir / TWIN / "training.png"  # once a run is done
  return config.evals.twin and config.model.conditioned and drawn.is_file()


def _twin(config: config_lib.Config) -> config_lib.Config:
  """Returns the same run without conditions, PinRec-UC."""
  other = config.train.start_from
  start_from = str(pathlib.Path(other) / TWIN) if other else ""
  return dataclasses.replace(
    config,
    train=dataclasses.replace(config.train, start_from=start_from),
    model=dataclasses.replace(config.model, conditioned=False),
    decode=dataclasses.replace(
      config.decode, budget="", surface="", item_type="", offsets=()
    ),
  )


MODES = {
  "doctor": doctor,
  "demo": demo,
  "prepare": prepare,
  "train": train,
  "evaluate": evaluate,
  "index": index,
}
