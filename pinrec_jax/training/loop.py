"""The training loop; every side effect of training is here."""

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import grain
import jax
import optax
from absl import logging

from pinrec_jax import config as config_lib
from pinrec_jax import config_json, sharding
from pinrec_jax.data import catalogue, histories, pipeline, splits
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.evals import metrics as metrics_lib
from pinrec_jax.evals import retrieval
from pinrec_jax.losses import objectives
from pinrec_jax.model import pinrec
from pinrec_jax.serve import retriever as retriever_lib
from pinrec_jax.training import checkpoint, examples, fits, logs, stops
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib
from pinrec_jax.types import Number


class RunStoppedError(Exception):
  """Training was asked to stop, saved its state, and can be resumed."""


class RunDivergedError(Exception):
  """The loss is no longer a number; the last good checkpoint is kept."""


@dataclasses.dataclass(frozen=True)
class Trained:
  """The best of what a run has saved."""

  model: pinrec.PinRec
  params: dict  # on the host
  step: int
  metrics: dict[str, float]  # of the validation


class _Begun(NamedTuple):
  """A run where its training begins, or goes on."""

  model: pinrec.PinRec
  transform: optax.GradientTransformation
  corpus: objectives.Corpus
  data: grain.DatasetIterator[histories.Batch]
  cases: list[splits.Case]  # of the validation
  checkpoints: checkpoint.Checkpoints
  agreed: dict[str, Any]  # as `fits.network`
  state: state_lib.State
  report: dict[str, Number]


def validate(
  config: config_lib.Config,
  model: pinrec.PinRec,
  params: dict,
  dataset: dataset_lib.Dataset,
  cases: Sequence[splits.Case],
) -> dict[str, float]:
  """Returns recall@10 of the budgeted list on the validation users."""
  exact = dataclasses.replace(config.index, kind="exact")
  retriever = retriever_lib.of_dataset(
    dataclasses.replace(config, index=exact), model, params, dataset
  )
  lists = retrieval.retrieve(
    retriever, cases, size=10, budget=retriever.budget(), quiet=True
  )
  targets = metrics_lib.targets(cases)
  hits = metrics_lib.found(lists.items, targets, 10)
  return {checkpoint.METRIC: metrics_lib.recall(hits, targets)}


def train(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  workdir: pathlib.Path,
) -> dict[str, Number]:
  """Trains, or goes on training, and returns how it went.

  Raises:
    RunStoppedError: after SIGTERM or Ctrl-C; the state is saved.
    RunDivergedError: on a loss that is no number.
  """
  train_config = config.train
  mesh = sharding.device_mesh(train_config.model_axis, train_config.fsdp_axis)
  sharding.check_batch(mesh, train_config.batch, train_config.accumulate)
  begun = _begin(config, dataset, mesh, workdir)
  model, state, report = begun.model, begun.state, begun.report
  checkpoints = begun.checkpoints
  start = int(state.step)

  with (
    contextlib.closing(checkpoints),
    logs.Logs(workdir, steps=train_config.steps, start=start) as log,
    logs.Profile(workdir, start=start, steps=train_config.profile) as profile,
    stops.requests(train_config.log_every) as stop_asked,
  ):

    def settle(number: int, metrics: step_lib.Metrics) -> None:
      """Waits for a step, checks its loss and logs it."""
      values = log.count(metrics)
      if not math.isfinite(values["loss"]):
        if checkpoints.last == number - 1:
          # Its very parameters have no loss, whatever the rate to come.
          checkpoints.remove(number - 1)
        raise RunDivergedError(
          f"the loss is {values['loss']} at step {number}; the last good "
          f"checkpoint is {_step(checkpoints.last)}; lower train.learning_rate "
          f"({train_config.learning_rate}) and run again"
        )
      if number % train_config.log_every == 0:
        log.write(number, values)

    pending = None
    for number in range(start + 1, train_config.steps + 1):
      profile.before(number)
      state, metrics = step_lib.train_step(
        state,
        sharding.from_rows(mesh, next(begun.data)),
        begun.corpus,
        model=model,
        transform=begun.transform,
        config=config.loss,
        seed=train_config.seed,
        rows_only=train_config.tables != "adam",
        parts=train_config.accumulate,
      )
      if pending:  # the step before, so that the device never waits
        settle(*pending)
      pending = (number, metrics)
      last = number == train_config.steps
      evaluating = last or number % train_config.eval_every == 0
      stopping = stop_asked(number)
      if evaluating or stopping:
        settle(*pending)
        pending, found = None, None
        if evaluating and not train_config.refit:
          params = sharding.on_host(state.params)
          found = validate(config, model, params, dataset, begun.cases)
          log.write(number, {f"validation/{k}": v for k, v in found.items()})
        checkpoints.save(number, state, begun.data, found, begun.agreed)
        log.pause()
      if stopping and not last:
        checkpoints.wait()
        raise RunStoppedError(
          f"stopped at step {number} of {train_config.steps}; run the same "
          "command again to go on"
        )
    checkpoints.wait()
    if stop_asked(0):
      raise RunStoppedError(
        f"stopped once all {train_config.steps} steps were done; run the same "
        "command again to go on with what comes after"
      )
  if log.seconds:
    report["train_tokens_per_s"] = log.tokens / log.seconds
    report["train_seconds"] = log.seconds
  return report


def _step(number: int | None) -> str:
  return "none" if number is None else f"step {number}"


def _begin(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  mesh: jax.sharding.Mesh,
  workdir: pathlib.Path,
) -> _Begun:
  """Returns a new run, or a saved one where it was stopped."""
  train_config = config.train
  rows, corpus = examples.packed(config, dataset)
  cases = splits.cases(dataset, "validation", limit=train_config.eval_users)
  share, shares = sharding.row_share(mesh)
  data = pipeline.batches(
    rows,
    batch=train_config.batch,
    seed=train_config.seed,
    share=share,
    shares=shares,
    workers=config.data.workers,
  )
  model = pinrec.of_config(config, dataset.vocabulary)
  transform = state_lib.optimizer(train_config)
  corpus = sharding.from_all(mesh, corpus)
  agreed = fits.network(config, dataset.catalogue)
  checkpoints = checkpoint.Checkpoints(workdir / "checkpoints")
  state = state_lib.initial(
    model, transform, config.loss, mesh, train_config.seed
  )
  report: dict[str, Number] = {
    "parameters": state_lib.parameters(state),
    "filled": rows.filled,
  }
  if checkpoints.last is not None:
    logging.info("resuming at step %d", checkpoints.last)
    state = checkpoints.restore(checkpoints.last, state, mesh, agreed, data)
  elif train_config.start_from:
    state, inherited = _inherit(config, dataset.catalogue, state)
    report |= inherited
  told = workdir / "config.json"
  finished = int(state.step) >= train_config.steps and told.is_file()
  if jax.process_index() == 0 and not finished:
    config_json.save(config, told)
  return _Begun(
    model, transform, corpus, data, cases, checkpoints, agreed, state, report
  )


def _inherit(
  config: config_lib.Config, known: catalogue.Catalogue, new: state_lib.State
) -> tuple[state_lib.State, dict[str, Number]]:
  """Returns a new state with the weights of another run, and what it took."""
  other = pathlib.Path(config.train.start_from).expanduser()
  step, saved, _ = _saved(config, known, other, ignoring=("train.refit",))
  told: dict[str, Number] = {
    "inherited_step": step,
    "inherited_parameters": state_lib.parameters(saved),
  }
  return new._replace(params=saved.params), told


def best(
  config: config_lib.Config,
  known: catalogue.Catalogue,
  workdir: pathlib.Path,
) -> Trained:
  """Returns the parameters of a run's best validation, or of a refit's end.

  Raises:
    FileNotFoundError: if the run has no checkpoint.
    ValueError: if the checkpoint is of another configuration.
  """
  step, state, metrics = _saved(config, known, workdir)
  model = pinrec.of_config(config, known.vocabulary)
  return Trained(model, sharding.on_host(state.params), step, metrics)


def _saved(
  config: config_lib.Config,
  known: catalogue.Catalogue,
  workdir: pathlib.Path,
  ignoring: Collection[str] = (),
) -> tuple[int, state_lib.State, dict[str, float]]:
  """Returns a run's best step, its state on the mesh and its validation."""
  checkpoints = checkpoint.Checkpoints(workdir / "checkpoints", read_only=True)
  step = checkpoints.best or checkpoints.last
  if step is None:
    raise FileNotFoundError(
      f"no checkpoint in {workdir / 'checkpoints'}; train first, with the same "
      "--workdir"
    )
  shapes = state_lib.shapes(
    pinrec.of_config(config, known.vocabulary),
    state_lib.optimizer(config.train),
    config.loss,
  )
  mesh = sharding.device_mesh(config.train.model_axis, config.train.fsdp_axis)
  agreed = fits.network(config, known)
  with contextlib.closing(checkpoints):
    state = checkpoints.restore(step, shapes, mesh, agreed, ignoring=ignoring)
    return step, state, checkpoints.metrics(step)
