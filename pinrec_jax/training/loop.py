"""The training loop, which owns every side effect of training.

Each turn takes the next batch, dispatches a step and logs the step before. An
evaluation finishes the step, validates and saves.
"""

import contextlib
import math
import pathlib

import jax
import numpy as np
from absl import logging

from pinrec_jax import config as config_lib
from pinrec_jax import reports, sharding
from pinrec_jax.buckets import work_folder
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import statistics
from pinrec_jax.evals import metrics as metrics_lib
from pinrec_jax.evals import retrieve, verdict
from pinrec_jax.index import build
from pinrec_jax.inference import bundle, engine
from pinrec_jax.training import (
  checkpoint,
  errors,
  logs,
  optimizer,
  preemption,
  runs,
)
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

VALIDATION_K = 10  # As in `checkpoint.METRIC`.
ZEROS = 3  # Validations in a row that find nothing before a warning.
LINES = 10  # Of metrics.jsonl, from one validation to the next.
AGREE_EVERY = 20  # At most, in steps; several processes agree whether to stop.


def train(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  workdir: pathlib.Path,
) -> reports.TrainReport:
  """Trains a model, or continues the run of the work folder.

  Raises:
    RunStoppedError: after SIGTERM or Ctrl-C; the state is saved.
    RunDivergedError: if the loss or an item vector is not finite, or a device
      cannot hold the hash-table rows of a step.
    ValueError: as `runs.begin`.
  """
  settings = config.train
  mesh = sharding.device_mesh(settings.model_axis, settings.fsdp_axis)
  sharding.check_batch(mesh, settings.batch_size, settings.grad_accumulation)
  run = runs.begin(config, dataset, mesh, workdir)
  state, start = run.state, int(run.state.step)
  rates = optimizer.learning_rates(settings)
  validator = _Validator(config, dataset, run)
  log_every = max(settings.eval_every // LINES, 1)
  with (
    contextlib.closing(run.checkpoints),
    logs.Logs(workdir, steps=settings.steps, start=start) as log,
    logs.Profile(workdir, start=start, steps=settings.profile_steps) as profile,
    preemption.requests(min(log_every, AGREE_EVERY)) as stop_requested,
  ):
    recorder = _Recorder(config, run.checkpoints, log, log_every)
    done = runs.is_done(run.checkpoints, settings)
    for number in range(start + 1, start + 1 if done else settings.steps + 1):
      profile.before(number)
      batch = sharding.from_rows(mesh, next(run.data))
      with jax.set_mesh(mesh):
        state, metrics = step_lib.train_step(
          state,
          batch,
          run.corpus,
          rates[number - 1],
          model=run.model,
          transform=run.transform,
          config=config.loss,
          seed=settings.seed,
          rows_only=settings.table_optimizer != "adam",
          shards=sharding.table_shards(mesh),
          parts=settings.grad_accumulation,
        )
      recorder.dispatched(number, metrics)
      done = number == settings.steps
      evaluating = done or number % settings.eval_every == 0
      stopping = stop_requested(number)
      if evaluating or stopping:
        recorder.finish()
        try:
          found = validator(state) if evaluating else {}
        except build.NotFiniteError as error:
          raise recorder.diverged(number, "an item vector is nan") from error
        recorder.validated(number, found)
        run.checkpoints.save(number, state, run.data, found, run.network)
        work_folder.saved(workdir, run.checkpoints.wait)
        log.pause()
        done = runs.is_done(run.checkpoints, settings)
      if done:
        break
      if stopping:
        run.checkpoints.wait()
        raise errors.RunStoppedError(
          f"training was stopped after step {number} of {settings.steps}; run "
          "the same command again to continue"
        )
    run.checkpoints.wait()
    if stop_requested(0):
      raise errors.RunStoppedError(
        f"the run was stopped after all {run.checkpoints.last} training "
        "steps; run the same command again to continue"
      )
    best, ended = run.checkpoints.best or 0, run.checkpoints.last or 0
  return reports.TrainReport(
    parameters=state_lib.num_parameters(state),
    filled=run.filled,
    inherited_step=run.inherited_step,
    filter_seen=config.index.filter_seen,
    best_step=best,
    last_step=ended,
    train_seconds=log.seconds,
    train_tokens_per_s=log.tokens / log.seconds if log.seconds else 0.0,
  )


class _Recorder:
  """Logs each step after the next one is dispatched, so no device waits."""

  def __init__(
    self,
    config: config_lib.Config,
    checkpoints: checkpoint.Checkpoints,
    log: logs.Logs,
    log_every: int,
  ) -> None:
    self._config, self._checkpoints, self._log = config.train, checkpoints, log
    self._log_every = log_every
    self._pending: tuple[int, step_lib.Metrics] | None = None

  def dispatched(self, number: int, metrics: step_lib.Metrics) -> None:
    """Logs the step before, and remembers this one."""
    self.finish()
    self._pending = number, metrics

  def finish(self) -> None:
    """Waits for the pending step, checks its loss and logs it."""
    if self._pending is None:
      return
    (number, metrics), self._pending = self._pending, None
    values = self._log.count(metrics)
    if not values.pop("rows_fit", True):
      raise self._stopped(
        "a device has no place for all hash-table rows that it reads",
        number,
        'set train.table_optimizer to "adam", which reads whole tables, or '
        "split the tables over fewer devices (train.model_axis, "
        "train.fsdp_axis)",
      )
    if not math.isfinite(values["loss"]):
      if self._checkpoints.last == number - 1:
        # The loss was computed with this checkpoint's own parameters.
        self._checkpoints.remove(number - 1)
      raise self.diverged(number, f"the loss is {values['loss']}")
    if number % self._log_every == 0:
      self._log.write(number, values)

  def diverged(self, number: int, what: str) -> errors.RunDivergedError:
    """Returns the error of a run that diverged at a step."""
    rate = self._config.learning_rate
    return self._stopped(what, number, f"lower train.learning_rate ({rate})")

  def _stopped(
    self, what: str, number: int, remedy: str
  ) -> errors.RunDivergedError:
    last = self._checkpoints.last
    return errors.RunDivergedError(
      f"{what} at step {number}; the last good checkpoint is "
      f"{'none' if last is None else f'step {last}'}; {remedy} and run again"
    )

  def validated(self, number: int, found: dict[str, float]) -> None:
    """Logs a validation."""
    if found:
      self._log.write(number, {f"validation/{k}": v for k, v in found.items()})


class _Validator:
  """Measures recall@10 of the budgeted list on the validation users."""

  def __init__(
    self,
    config: config_lib.Config,
    dataset: dataset_lib.Dataset,
    run: runs.Run,
  ) -> None:
    inference = config_lib.inference(config)
    self._config = config_lib.replace(inference, **{"index.kind": "exact"})
    self._dataset, self._cases = dataset, run.cases
    self._batch_size = config.evals.batch_size
    # Hashing the ids of a large catalog takes seconds, so it is done once.
    self._features = jax.tree.map(np.asarray, run.corpus.features)
    self._fractions = statistics.outcome_fractions(dataset)
    self._run, self._zeros = config, 0
    self._hidden = None
    if config.model.id_dropout:
      self._hidden = statistics.cold_items(dataset, "validation")

  def __call__(self, state: state_lib.State) -> dict[str, float]:
    """Returns the metrics; empty if the run trains on the validation users."""
    if not self._cases:
      return {}
    retriever = engine.Retriever(
      bundle.create(
        self._config,
        sharding.on_host(state.params),
        self._dataset.catalog,
        self._fractions,
        features=self._features,
        hidden=self._hidden,
      )
    )
    lists = retrieve.retrieve(
      retriever,
      self._cases,
      retriever.reader.defaults().ask,
      size=VALIDATION_K,
      batch_size=self._batch_size,
      quiet=True,
    )
    targets = metrics_lib.targets(self._cases)
    hits = metrics_lib.found(lists.items, targets, VALIDATION_K)
    self._zeros = 0 if hits.any() else self._zeros + 1
    if self._zeros == ZEROS:
      self._warn(len(hits))
    return {checkpoint.METRIC: metrics_lib.recall(hits)}

  def _warn(self, targets: int) -> None:
    """Logs why several validations in a row may have found nothing."""
    why = "; ".join(verdict.unreachable(self._run, self._dataset, self._cases))
    logging.warning(
      "%d validations in a row found none of %d targets; likely reasons: %s",
      ZEROS, targets, why or "too few steps, or too high a learning rate",
    )  # fmt: skip
