"""What a run does, as functions with typed reports; nothing here prints."""

import contextlib
import pathlib
import time
from collections.abc import Iterator

import jax
from absl import logging

from pinrec_jax import (
  compilation_cache,
  files,
  indexing,
  opening,
  processes,
  reports,
  sharding,
  validation,
)
from pinrec_jax import config as config_lib
from pinrec_jax import twin as twin_lib
from pinrec_jax.buckets import work_folder
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import (
  evaluation_cases,
  repeats,
  row_errors,
  statistics,
)
from pinrec_jax.evals import comparison, requirements
from pinrec_jax.evals import evaluate as evaluate_lib
from pinrec_jax.index import scann_index
from pinrec_jax.inference import bundle, engine, export
from pinrec_jax.losses import positives
from pinrec_jax.model import backbone
from pinrec_jax.training import loop, runs

BUNDLES = "bundles"  # Folder of the bundles in a work folder.
EXPORT = "export"  # Folder of exported files in a work folder.


def check(
  config: config_lib.Config, workdir: str | pathlib.Path
) -> pathlib.Path:
  """Checks and freezes a configuration, and readies JAX for a run.

  It joins the run's processes if the environment names any.

  Returns:
    The work folder.

  Raises:
    TimeoutError: naming the processes that did not come.
    ValueError: on a bad field, no device, or ScaNN that the configuration names
      and that is not installed.
  """
  validation.validate(config)
  positives.objective(config.loss.objective)
  backbone.block(config.model.backbone)
  processes.join()
  sharding.require_device()
  scann_index.require(config.index.kind)
  compilation_cache.enable()
  return pathlib.Path(workdir).expanduser()


@opening.at_address
def prepare(
  config: config_lib.Config, workdir: str | pathlib.Path
) -> reports.PrepareReport:
  """Prepares a log if need be; returns its statistics and its row errors.

  Raises:
    ValueError: on a bad field, or a log that cannot be read.
  """
  check(config, workdir)
  dataset = dataset_lib.load(config.data)
  return reports.PrepareReport(
    statistics.of_dataset(dataset, config.data.session_gap),
    repeats.of_dataset(dataset),
    row_errors.load(dataset.folder),
    dataset.folder,
  )


@opening.at_address
def train(
  config: config_lib.Config,
  workdir: str | pathlib.Path,
  dataset: dataset_lib.Dataset | None = None,
) -> reports.TrainReport:
  """Trains a model, or continues the run of the work folder.

  Args:
    config: of the run.
    workdir: of checkpoints and logs.
    dataset: the log, if it is open already.

  Raises:
    RunDivergedError: (pinrec_jax.training.errors) if the loss or an item vector
      is not finite.
    RunStoppedError: after Ctrl-C or SIGTERM; the state is saved.
    ValueError: on a bad field, a log that cannot be read, or if another
      process trains in the work folder.
  """
  workdir = check(config, workdir)
  with held(workdir):
    config, dataset = opening.load(config, workdir, dataset)
    return loop.train(config, dataset, workdir)


@contextlib.contextmanager
def held(workdir: pathlib.Path) -> Iterator[None]:
  """Keeps other runs out of a work folder; the first process has the lock.

  Raises:
    ValueError: if another run uses the work folder.
  """
  if jax.process_index():
    yield
    return
  with files.locked(workdir), work_folder.claimed(workdir):
    yield


def retriever(
  config: config_lib.Config,
  workdir: pathlib.Path,
  dataset: dataset_lib.Dataset,
) -> engine.Retriever:
  """Returns a run's best checkpoint, with all items of a log indexed.

  Raises:
    FileNotFoundError: if there is no checkpoint.
    ValueError: if it has another configuration.
  """
  config = opening.follow(config, dataset, workdir)
  trained = runs.best(config, dataset.catalog, workdir)
  split = evaluation_cases.after_training(
    train_on_validation=config.train.train_on_validation
  )
  return indexing.indexed(config, trained, dataset.catalog, dataset, split)


@opening.at_address
def build_index(
  config: config_lib.Config,
  workdir: str | pathlib.Path,
  dataset: dataset_lib.Dataset | None = None,
) -> tuple[reports.IndexReport, engine.Retriever]:
  """Writes the bundle of a run's best checkpoint, for `Retriever.load`.

  Raises:
    FileNotFoundError: if there is no checkpoint.
    ValueError: if it has another configuration.
  """
  workdir = check(config, workdir)
  config, dataset = opening.load(config, workdir, dataset)
  began = time.monotonic()
  found = retriever(config, workdir, dataset)
  version = _save(found.bundle, dataset, workdir)
  if twin_lib.is_trained(config, workdir):
    twin = workdir / twin_lib.FOLDER
    other = retriever(twin_lib.of_config(config), twin, dataset)
    _save(other.bundle, dataset, twin)
  sharding.wait_for_all("bundle is written")
  seconds = time.monotonic() - began
  recall = None
  if not found.bundle.index.exact:
    cases = evaluation_cases.cases(
      dataset, "test", limit=config.evals.batch_size, required=False
    )
    recall = evaluate_lib.index_recall(found, cases) if cases else None
  report = reports.IndexReport(
    bundle=version,
    index=found.bundle.index.kind,
    index_items=len(found.bundle.candidates),
    index_seconds=seconds,
    recall=recall,
  )
  return report, found


@opening.at_address
def export_bundle(
  config: config_lib.Config, workdir: str | pathlib.Path
) -> reports.ExportReport:
  """Writes the current bundle's program and item vectors for other software.

  Raises:
    FileNotFoundError: if there is no bundle.
    ValueError: on a bad field, or a damaged bundle.
  """
  workdir = check(config, workdir)
  given = config_lib.inference(config)
  found = engine.Retriever.load(workdir, decode=given.decode, index=given.index)
  folder = workdir / EXPORT
  if jax.process_index() == 0:
    export.write(found, folder)
  sharding.wait_for_all("export is written")
  manifest = files.read_json(folder / export.MANIFEST)
  return reports.ExportReport(
    bundle=manifest["bundle"],
    jax=manifest["jax"],
    readable_until=manifest["readable_until"],
    items=len(found.bundle.candidates),
    folder=folder,
  )


def _save(
  found: bundle.Bundle, dataset: dataset_lib.Dataset, workdir: pathlib.Path
) -> str:
  """Writes a bundle with what is known of the log's users.

  Returns:
    Its version; "" in every process but the first, which writes it.
  """
  if jax.process_index():
    return ""
  full = indexing.with_users(found, dataset)
  return bundle.save(full, workdir / BUNDLES).name


@opening.at_address
def evaluate(
  config: config_lib.Config,
  workdir: str | pathlib.Path,
  dataset: dataset_lib.Dataset | None = None,
  found: engine.Retriever | None = None,
) -> reports.EvaluateReport:
  """Evaluates a run on the test users, beside its twin and the baselines.

  Args:
    config: of the run.
    workdir: of the run.
    dataset: the log, if it is open already.
    found: the run's retriever, if it was built before.

  Raises:
    FileNotFoundError: if there is no checkpoint.
    ValueError: if it has another configuration.
  """
  workdir = check(config, workdir)
  config, dataset = opening.load(config, workdir, dataset)
  has_twin = twin_lib.is_trained(config, workdir)
  if has_twin:
    requirements.check_twin_steps(config, dataset)
  cases = evaluation_cases.cases(dataset, "test")
  short_list = requirements.shortest_list(config, dataset, cases)
  if short_list:
    logging.warning(
      "user %r has %d items left to recommend, fewer than the largest of "
      "evals.cutoffs (%d); such lists are shorter",
      *short_list, max(config.evals.cutoffs),
    )  # fmt: skip
  found = found or retriever(config, workdir, dataset)
  other = None
  if has_twin:
    folder = workdir / twin_lib.FOLDER
    other = retriever(twin_lib.of_config(config), folder, dataset)
  return comparison.compare(
    config,
    dataset,
    cases,
    found,
    other,
    runs.progress(workdir),
    short_list,
  )


@opening.at_address
def demo(
  config: config_lib.Config, workdir: str | pathlib.Path
) -> reports.DemoReport:
  """Trains a model and its twin, indexes and evaluates.

  Raises:
    RunDivergedError, RunStoppedError, ValueError: as `train`.
  """
  began = time.monotonic()
  workdir = check(config, workdir)
  wanted = twin_lib.wanted(config)
  config, dataset = opening.load(config, workdir, twin=wanted)
  evaluation_cases.cases(dataset, "test")  # Raises before the training.
  trained, other = train(config, workdir, dataset), None
  if wanted:
    other = train(
      twin_lib.of_config(config), workdir / twin_lib.FOLDER, dataset
    )
  index, found = build_index(config, workdir, dataset)
  figures = evaluate(config, workdir, dataset, found)
  seconds = time.monotonic() - began
  return reports.DemoReport(trained, other, index, figures, seconds)
