"""The daily update: new files, a model that goes on, a gate and a new bundle.

Each stage is written whole under a name that follows from its inputs. So an
update that was killed continues with the same command, and ends the same.
"""

import datetime
import hashlib
import math
import pathlib
import time
from typing import NamedTuple

import jax

from pinrec_jax import config as config_lib
from pinrec_jax import files, indexing, opening, reports, sharding, workflows
from pinrec_jax.buckets import addresses
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import days as days_lib
from pinrec_jax.data.custom import inputs
from pinrec_jax.evals import gate
from pinrec_jax.inference import bundle, bundle_folders, engine
from pinrec_jax.training import daily, loop, runs

DAY = "day.json"  # In the folder of a day: what was measured and decided.
NAME_LENGTH = 16


class Plan(NamedTuple):
  """All that a day's update depends on.

  Attributes:
    config: of the run.
    workdir: of the run.
    dataset: the log with the new files, in the names of the run.
    yesterday: the model whose bundle is current.
    newest: unix second of the newest event.
    gate_from: unix second at which the newest hours start.
    name: of the day, a digest of its inputs.
  """

  config: config_lib.Config
  workdir: pathlib.Path
  dataset: dataset_lib.Dataset
  yesterday: daily.Model
  newest: int
  gate_from: int
  name: str

  @property
  def folder(self) -> pathlib.Path:
    """Folder of the day in the work folder."""
    return self.workdir / daily.FOLDER / self.name


@opening.at_address
def update(
  config: config_lib.Config, workdir: str | pathlib.Path
) -> reports.UpdateReport:
  """Appends new files, trains on them, and publishes if the gate allows it.

  Raises:
    FileNotFoundError: if the run has no checkpoint, or its log is gone.
    RunDivergedError: (pinrec_jax.training.errors) if the loss or an item vector
      is not finite.
    RunStoppedError: after Ctrl-C or SIGTERM; the same command continues.
    ValueError: on a bad field, a log that cannot be updated, an earlier file
      that has changed, or if another process uses the work folder.
  """
  workdir = workflows.check(config, workdir)
  _require_updatable(config)
  with workflows.held(workdir):
    return _update(config, workdir)


def _require_updatable(config: config_lib.Config) -> None:
  """Raises ValueError if a configuration has no daily update."""
  if config.data.name != dataset_lib.CUSTOM:
    raise ValueError(
      f"data.name is {config.data.name!r}, and --mode=update appends files to "
      f"a custom log; use {dataset_lib.CUSTOM}"
    )
  if config.data.split_shift_days:
    raise ValueError(
      f"config.data.split_shift_days is {config.data.split_shift_days}, which "
      "leaves out the newest days; use 0 for --mode=update"
    )


def _update(
  config: config_lib.Config, workdir: pathlib.Path
) -> reports.UpdateReport:
  lines = daily.read(workdir)
  earlier = daily.log_folder(workdir, lines)
  folder = dataset_lib.append(config.data, earlier)
  repeated = [path.name for path in _repeated(config, earlier)]
  if folder == earlier:
    return reports.UpdateReport({}, lines, repeated)
  line = _decided(workdir, folder)
  # All processes have read the work folder before one of them changes it.
  sharding.wait_for_all("work folder is read")
  if line is None:
    dataset = dataset_lib.opened(config.data, folder)
    names = runs.names(config, workdir)
    dataset = opening.in_names(config, dataset, names)
    config = opening.follow(config, dataset, workdir)
    plan = _plan(config, workdir, dataset, lines)
    line = _day(plan)
    if jax.process_index() == 0:
      files.write_json(plan.folder / DAY, line)
  if jax.process_index() == 0:
    if line["published"]:
      version = str(line["bundle"])
      bundle_folders.set_current(workdir / workflows.BUNDLES, version)
    daily.write(workdir, [*lines, line])
    daily.prune(workdir, [*lines, line])
  sharding.wait_for_all("day is written")
  return reports.UpdateReport(line, [*lines, line], repeated)


def _decided(
  workdir: pathlib.Path, log: pathlib.Path
) -> reports.Figures | None:
  """Returns the line of a day that was measured and then stopped, if any."""
  for path in sorted((workdir / daily.FOLDER).glob(f"*/{DAY}")):
    line = files.read_json(path)
    if line["log"] == addresses.name(log):
      return line
  return None


def _repeated(
  config: config_lib.Config, earlier: pathlib.Path
) -> list[pathlib.Path]:
  """Returns new files whose content an earlier log has read."""
  known = inputs.load(earlier)
  return inputs.new_files(config.data, known).repeated if known else []


def _plan(
  config: config_lib.Config,
  workdir: pathlib.Path,
  dataset: dataset_lib.Dataset,
  lines: list[reports.Figures],
) -> Plan:
  """Returns what a day's update depends on.

  Raises:
    FileNotFoundError: if the checkpoints of the current bundle are gone.
    ValueError: if the log has no times.
  """
  newest = days_lib.newest(dataset)
  if not newest:
    raise ValueError(
      f"no event of config.data.events={config.data.events!r} has a time, and "
      "--mode=update needs times to know what is new; name the column of times "
      "in config.data.custom.time"
    )
  gate_from = newest + 1 - math.ceil(config.update.gate_hours * 3600)
  bundles = workdir / workflows.BUNDLES
  yesterday = daily.current(config, workdir, bundles, lines)
  about = [dataset.folder.parent.name, yesterday, config.update, config.train]
  name = hashlib.sha256(repr(about).encode()).hexdigest()[:NAME_LENGTH]
  return Plan(config, workdir, dataset, yesterday, newest, gate_from, name)


def _day(plan: Plan) -> reports.Figures:
  """Trains, measures and writes the bundle; returns the line of the day."""
  began = time.monotonic()
  config, yesterday = plan.config, plan.yesterday
  day = days_lib.training(
    plan.dataset,
    since=yesterday.until,
    until=plan.gate_from,
    replay=config.update.replay,
    length=config.data.sequence_length,
    history_events=config.data.history_events,
    seed=config.train.seed,
  )
  model, trained = yesterday, None
  if day.targets:
    trained = daily.day_config(config, plan.workdir, yesterday, day)
    loop.train(trained, day.dataset, plan.folder)
    model = daily.Model(f"{daily.FOLDER}/{plan.name}", plan.gate_from)
  seconds = time.monotonic() - began
  found = _retriever(plan, model)
  figures, reason = gate.measure(
    config,
    days_lib.at(plan.dataset, plan.gate_from),
    found,
    _retriever(plan, yesterday) if trained else None,
  )
  published = reason in gate.PUBLISHED
  version = _written(plan, found) if published else ""
  moment = datetime.datetime.fromtimestamp(plan.newest, datetime.UTC)
  return {
    "date": moment.strftime("%Y-%m-%d %H:%M:%S"),
    "published": published,
    "reason": reason,
    "bundle": version,
    **figures,
    "targets": day.targets,
    "replayed": day.replayed,
    "steps": trained.train.steps if trained else 0,
    "train_seconds": seconds,
    "seconds": time.monotonic() - began,
    "model": model.folder,
    "until": model.until,
    "log": addresses.name(plan.dataset.folder),
  }


def _retriever(plan: Plan, model: daily.Model) -> engine.Retriever:
  """Returns a model with the items of the whole log."""
  config = daily.reading(plan.config, model)
  catalog = plan.dataset.catalog
  trained = runs.best(config, catalog, plan.workdir / model.folder)
  known = days_lib.at(plan.dataset, model.until)
  return indexing.indexed(config, trained, catalog, known, "test")


def _written(plan: Plan, found: engine.Retriever) -> str:
  """Writes a bundle, which is not current yet.

  Returns:
    Its version; "" in every process but the first, which writes it.
  """
  if jax.process_index():
    return ""
  full = indexing.with_users(found.bundle, plan.dataset)
  return bundle.write(full, plan.workdir / workflows.BUNDLES).name
