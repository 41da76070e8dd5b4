"""Opening a run: its log, and the configuration that follows from it."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

from absl import logging

from pinrec_jax import config as config_lib
from pinrec_jax import validation
from pinrec_jax.buckets import addresses, work_folder
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import following, profile
from pinrec_jax.evals import requirements
from pinrec_jax.training import runs

_Workflow = TypeVar("_Workflow", bound=Callable[..., Any])


def at_address(workflow: _Workflow) -> _Workflow:
  """Lets the second argument of a workflow, its work folder, be an address.

  The workflow gets a local folder, which is uploaded when it ends.
  """

  @functools.wraps(workflow)
  def _run(config: Any, workdir: Any, *args: Any, **fields: Any) -> Any:
    if addresses.is_address(workdir):
      validation.validate(config)  # Raises before anything is downloaded.
    with work_folder.opened(workdir) as folder:
      return workflow(config, folder, *args, **fields)

  return cast(_Workflow, _run)


def load(
  config: config_lib.Config,
  workdir: str | pathlib.Path | None = None,
  dataset: dataset_lib.Dataset | None = None,
  *,
  twin: bool = False,
) -> tuple[config_lib.Config, dataset_lib.Dataset]:
  """Opens the log and fills in what the configuration leaves to the log.

  A log that has changed since the run was trained gets the codes that the run
  has learned.

  Args:
    config: of the run.
    workdir: of the run, if there is one.
    dataset: the log, if it is open already.
    twin: whether the unconditioned twin is evaluated, too.

  Returns:
    The configuration as from `follow`, and the log. Every name in the
    configuration was found in the log.

  Raises:
    ValueError: on a name that the log lacks, a name that the run has not
      learned, or more vectors than the twin can take steps.
  """
  if dataset is None:
    dataset = dataset_lib.load(config.data)
  if workdir is not None:
    folder = pathlib.Path(workdir).expanduser()
    dataset = in_names(config, dataset, runs.names(config, folder))
  config = follow(config, dataset, workdir)
  requirements.check_names(config, dataset)
  if twin:
    requirements.check_twin_steps(config, dataset)
  return config, dataset


def in_names(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  names: following.Names | None,
) -> dataset_lib.Dataset:
  """Returns a log with the codes that a run has learned, as `following` says.

  Raises:
    ValueError: on a name that the run cannot read.
  """
  if names is None or following.is_same(dataset.catalog, names):
    return dataset
  known, codes = following.follow(dataset.catalog, names)
  for note, count in codes.notes.items():
    logging.warning("the log has %d %s", count, note)
  return dataclasses.replace(
    dataset,
    catalog=known,
    events=following.Translated(dataset.events, codes),
    aim=known.vocabulary.aim(
      config.data.target_surface, config.data.target_outcomes
    ),
  )


def follow(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  workdir: str | pathlib.Path | None = None,
) -> config_lib.Config:
  """Returns a checked configuration without values that follow the log.

  They are those of the run, if the work folder has a checkpoint, or else those
  of `profile.follow`. So a run keeps them if its log grows.

  Raises:
    ValueError: if a value does not suit another field.
  """
  if workdir is not None:
    config = runs.settled(config, pathlib.Path(workdir).expanduser())
  config = profile.follow(config, dataset)
  validation.validate(config)
  return config
