"""Starting a run: new, resumed, or from the weights of another run."""

import contextlib
import dataclasses
import pathlib
import sys
from collections.abc import Collection
from typing import Any

import grain
import jax
import optax
from absl import logging

from pinrec_jax import config as config_lib
from pinrec_jax import config_files, files, reports, sharding
from pinrec_jax.buckets import addresses
from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import (
  evaluation_cases,
  following,
  pipeline,
  profile,
  schema,
)
from pinrec_jax.losses import objectives
from pinrec_jax.model import pinrec
from pinrec_jax.training import (
  checkpoint,
  checkpoint_files,
  compatibility,
  optimizer,
  training_data,
)
from pinrec_jax.training import state as state_lib

CHECKPOINTS = "checkpoints"  # Folder in a work folder.
CONFIG = "config.json"  # The run's configuration in a work folder.
NAMES = "names.json"  # The names that the run has learned, in a work folder.
LOG = "log.json"  # The prepared log of the run, in a work folder.


@dataclasses.dataclass
class Run:
  """All that the training loop needs.

  Attributes:
    model: the network.
    transform: the optimizer.
    corpus: features and frequencies of all items, on the devices.
    data: the endless stream of batches.
    cases: validation users; empty if the run trains on them.
    checkpoints: checkpoints of the run.
    network: what the checkpoints must agree with.
    state: the state from which training starts.
    filled: fraction of the positions of a batch that hold an event.
    inherited_step: step of the run from which the weights come, if any.
  """

  model: pinrec.PinRec
  transform: optax.GradientTransformation
  corpus: objectives.Corpus
  data: grain.DatasetIterator[schema.Batch]
  cases: list[evaluation_cases.Case]
  checkpoints: checkpoint.Checkpoints
  network: dict[str, Any]
  state: state_lib.State
  filled: float
  inherited_step: int | None = None


@dataclasses.dataclass(frozen=True)
class Trained:
  """The best checkpoint of a run.

  Attributes:
    params: parameters, on the host.
    step: step of the checkpoint.
    metrics: validation metrics of the checkpoint.
  """

  params: dict
  step: int
  metrics: dict[str, float]


def begin(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  mesh: jax.sharding.Mesh,
  workdir: pathlib.Path,
) -> Run:
  """Returns a new run, or the saved one of the work folder.

  Raises:
    ValueError: if the log has nothing to train on, if a checkpoint in the
      work folder does not fit the configuration, or if all are damaged.
  """
  train = config.train
  rows, corpus = training_data.packed(config, dataset)
  cases = []
  if not train.train_on_validation:
    cases = evaluation_cases.cases(
      dataset, "validation", limit=train.eval_users
    )
  shard, shards = sharding.row_shard(mesh)
  data = pipeline.batches(
    rows,
    batch=train.batch_size,
    seed=train.seed,
    share=shard,
    shares=shards,
    workers=config.data.num_workers,
  )
  model = pinrec.of_config(config, dataset.vocabulary)
  transform = optimizer.build(train)
  run = Run(
    model=model,
    transform=transform,
    corpus=sharding.from_all(mesh, corpus),
    data=data,
    cases=cases,
    checkpoints=checkpoint.Checkpoints(workdir / CHECKPOINTS),
    network=compatibility.network(config, dataset.catalog),
    state=state_lib.initial(model, transform, mesh, train.seed),
    filled=rows.filled,
  )
  saved = run.checkpoints.resume(run.state, mesh, run.network, run.data)
  if saved is not None:
    logging.info("resuming at step %d", run.checkpoints.last)
    run.state = saved
  elif train.init_from:
    _inherit(run, config, dataset.catalog)
  path = workdir / CONFIG
  finished = is_done(run.checkpoints, train) and path.is_file()
  if jax.process_index() == 0 and not finished:
    files.write_json(workdir / NAMES, dataset.catalog.names)
    files.write_json(workdir / LOG, {"folder": addresses.name(dataset.folder)})
    files.write(path, config_files.to_json(config))
  return run


def _inherit(
  run: Run, config: config_lib.Config, catalog: catalog_lib.Catalog
) -> None:
  """Gives a new run the weights of the run that `train.init_from` names."""
  other = pathlib.Path(config.train.init_from).expanduser()
  ignoring = ("train.train_on_validation",)
  run.inherited_step, saved, _ = _saved(config, catalog, other, ignoring)
  run.state = run.state._replace(params=saved.params)


def settled(
  config: config_lib.Config, workdir: pathlib.Path
) -> config_lib.Config:
  """Returns a configuration whose open values are those of the saved run.

  So a run keeps its sizes and its `index.filter_seen` if the log grows. Without
  a checkpoint, the configuration is returned as it is.

  Raises:
    ValueError: if the run's config.json cannot be read.
  """
  path, left = workdir / CONFIG, profile.open_fields(config)
  saved = any((workdir / CHECKPOINTS).glob("[0-9]*"))
  if not (left and saved and path.is_file()):
    return config
  text = path.read_text(encoding="utf-8")
  own = config_files.from_json(config_lib.Config, text, str(path), left)
  return config_lib.replace(
    config, **{name: profile.value(own, name) for name in left}
  )


def names(
  config: config_lib.Config, workdir: pathlib.Path
) -> following.Names | None:
  """Returns the names that a run has learned; None if it learned none yet.

  A run that starts from another run's weights has the names of that run.

  Raises:
    ValueError: if the file of the names is damaged.
  """
  places = [workdir]
  if config.train.init_from:
    places.append(pathlib.Path(config.train.init_from).expanduser())
  for place in places:
    if any((place / CHECKPOINTS).glob("[0-9]*")) and (place / NAMES).is_file():
      return following.load(place / NAMES)
  return None


def is_done(
  checkpoints: checkpoint.Checkpoints, train: config_lib.Train
) -> bool:
  """Whether a run has taken all steps, or `train.patience` ended it."""
  if train.patience and checkpoints.stale >= train.patience:
    return True
  return (checkpoints.last or 0) >= train.steps


def is_finished(config: config_lib.Config, workdir: pathlib.Path) -> bool:
  """Whether the run of a work folder has ended its training."""
  folder = workdir / CHECKPOINTS
  if not folder.is_dir():
    return False
  found = checkpoint.Checkpoints(folder, read_only=True)
  with contextlib.closing(found):
    return is_done(found, config.train)


def progress(workdir: pathlib.Path) -> reports.Progress:
  """Returns the best and the last step of a run.

  Raises:
    FileNotFoundError: if the run has no checkpoint.
  """
  folder = workdir / CHECKPOINTS
  found = checkpoint.Checkpoints(folder, read_only=True)
  with contextlib.closing(found):
    return reports.Progress(found.best or 0, found.last or 0, found.stale)


def best(
  config: config_lib.Config,
  catalog: catalog_lib.Catalog,
  workdir: pathlib.Path,
) -> Trained:
  """Returns the checkpoint with the best validation, or else the last one.

  Raises:
    FileNotFoundError: if the run has no good checkpoint.
    ValueError: if the checkpoint does not fit the configuration.
  """
  step, state, metrics = _saved(config, catalog, workdir)
  return Trained(sharding.on_host(state.params), step, metrics)


def _saved(
  config: config_lib.Config,
  catalog: catalog_lib.Catalog,
  workdir: pathlib.Path,
  ignoring: Collection[str] = (),
) -> tuple[int, state_lib.State, dict[str, float]]:
  """Returns the best step of a run, its state on the mesh and its metrics.

  Damaged checkpoints are left out with a message.
  """
  folder = workdir / CHECKPOINTS
  checkpoints = checkpoint.Checkpoints(folder, read_only=True)
  shapes = state_lib.shapes(
    pinrec.of_config(config, catalog.vocabulary), optimizer.build(config.train)
  )
  mesh = sharding.device_mesh(config.train.model_axis, config.train.fsdp_axis)
  network = compatibility.network(config, catalog)
  with contextlib.closing(checkpoints):
    steps = checkpoints.by_score
    for step in steps:
      try:
        state = checkpoints.restore(
          step, shapes, mesh, network, ignoring=ignoring
        )
      except checkpoint_files.DamagedError as error:
        print(f"{error}. Another checkpoint is read", file=sys.stderr)
        continue
      return step, state, checkpoints.metrics(step)
    found = "are only damaged checkpoints" if steps else "is no checkpoint"
    raise FileNotFoundError(
      f"there {found} in {folder}; train first, with the same --workdir"
    )
