import dataclasses
import json
import logging
import signal

import jax
import numpy as np
import pytest

from pinrec_jax.data import evaluation_cases
from pinrec_jax.training import (
  checkpoint,
  errors,
  hash_tables,
  logs,
  loop,
  runs,
)


def _equal(one, two) -> bool:
  pairs = jax.tree.map(np.array_equal, one, two)
  return all(jax.tree.leaves(pairs))


def _stopping_at(step, monkeypatch):
  """Sends SIGTERM as soon as a number of steps is counted."""
  count = logs.Logs.count

  def stopping(self, metrics):
    values = count(self, metrics)
    if self._bar.n == step:
      signal.raise_signal(signal.SIGTERM)
    return values

  monkeypatch.setattr(logs.Logs, "count", stopping)


def test_a_run_stopped_by_sigterm_resumes_bit_equal(
  brief, world, logged, tmp_path, monkeypatch
):
  loop.train(brief, world, tmp_path / "whole")
  with monkeypatch.context() as patch:
    _stopping_at(1, patch)
    with pytest.raises(errors.RunStoppedError, match="after step 2 of 6"):
      loop.train(brief, world, tmp_path / "parts")
  loop.train(brief, world, tmp_path / "parts")
  whole, parts = logged(tmp_path / "whole"), logged(tmp_path / "parts")
  assert list(whole) == [1, 2, 3, 4, 5, 6]
  assert whole == parts
  one = runs.best(brief, world.catalog, tmp_path / "whole")
  two = runs.best(brief, world.catalog, tmp_path / "parts")
  assert one.step == two.step
  assert _equal(one.params, two.params)
  assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_stop_after_the_last_step_is_not_missed(
  brief, world, tmp_path, monkeypatch
):
  save = checkpoint.Checkpoints.save

  def stopping(self, step, *arguments):
    save(self, step, *arguments)
    if step == brief.train.steps:
      signal.raise_signal(signal.SIGTERM)

  monkeypatch.setattr(checkpoint.Checkpoints, "save", stopping)
  with pytest.raises(errors.RunStoppedError, match="after all 6 training st"):
    loop.train(brief, world, tmp_path)
  assert runs.best(brief, world.catalog, tmp_path).step


@pytest.mark.slow
@pytest.mark.parametrize("train_on_validation", [False, True])
def test_saving_logs_no_warning(
  brief, world, tmp_path, monkeypatch, caplog, train_on_validation
):
  """With validations, without them, and at a stop between two of them."""
  brief.train.train_on_validation = train_on_validation
  with caplog.at_level(logging.WARNING):
    with monkeypatch.context() as patch:
      _stopping_at(1, patch)
      with pytest.raises(errors.RunStoppedError):
        loop.train(brief, world, tmp_path)
    loop.train(brief, world, tmp_path)
  assert not [r for r in caplog.records if "metric" in r.getMessage()]


@pytest.mark.parametrize(
  "candidates", [6, pytest.param(24, marks=pytest.mark.slow)]
)
def test_a_log_of_few_items_can_be_trained(brief, world, tmp_path, candidates):
  """Lists of the validation are then shorter than ten."""
  items = world.catalog.items
  few = items.candidate & (np.arange(len(items.ids)) <= candidates)
  assert few.sum() == candidates
  catalog = dataclasses.replace(
    world.catalog, items=items._replace(candidate=few)
  )
  world = dataclasses.replace(world, catalog=catalog)
  loop.train(brief, world, tmp_path)
  found = runs.best(brief, catalog, tmp_path).metrics["recall@10"]
  assert 0 <= found <= 1


def test_training_on_validation_needs_no_validation_users(
  brief, world, tmp_path
):
  names = dataclasses.replace(
    world.vocabulary, validation_from=world.vocabulary.test_from
  )
  catalog = dataclasses.replace(world.catalog, vocabulary=names)
  world = dataclasses.replace(world, catalog=catalog)
  assert not evaluation_cases.cases(world, "validation", required=False)
  with pytest.raises(ValueError, match="validation period"):
    loop.train(brief, world, tmp_path / "without")
  brief.train.train_on_validation = True
  loop.train(brief, world, tmp_path / "with")
  assert runs.best(brief, catalog, tmp_path / "with").step == 6


def test_some_steps_are_logged_between_validations(
  brief, world, tmp_path, logged, monkeypatch
):
  monkeypatch.setattr(loop, "LINES", 2)
  brief.train.eval_every = 4
  loop.train(brief, world, tmp_path)
  assert sorted(logged(tmp_path)) == [2, 4, 6]


def test_the_profiler_records_the_steps_after_a_delay(
  brief, world, tmp_path, monkeypatch
):
  monkeypatch.setattr(logs, "PROFILE_AFTER", 2)
  calls = []
  monkeypatch.setattr(jax.profiler, "start_trace", calls.append)
  monkeypatch.setattr(
    jax.profiler, "stop_trace", lambda: calls.append(logged_steps())
  )

  def logged_steps():
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    return sum("loss" in json.loads(line) for line in lines)

  brief.train.profile_steps = 2
  loop.train(brief, world, tmp_path)
  folder, ended = calls
  assert folder == str(tmp_path / "profile")
  assert ended == 3  # Step 4 is dispatched, and step 5 is not.


def test_a_profile_ends_with_its_run(tmp_path):
  with logs.Profile(tmp_path, start=0, steps=5) as profile:
    profile.before(logs.PROFILE_AFTER)
    assert not (tmp_path / "profile").exists()
    profile.before(logs.PROFILE_AFTER + 1)
    jax.block_until_ready(jax.numpy.ones(3) + 1)
  assert list((tmp_path / "profile").rglob("*.xplane.pb"))
  profile.before(0)  # Nothing is recorded any more.


# The first step has rate 0 and changes nothing. The second step diverges.
@pytest.mark.parametrize(
  ("every", "train_on_validation", "message"),
  [
    (1, False, "vector is nan at step 2; the last good checkpoint is step 1"),
    pytest.param(
      1,
      True,
      "loss is nan at step 3; the last good checkpoint is step 1",
      marks=pytest.mark.slow,
    ),
    pytest.param(
      4,
      False,
      "loss is nan at step 3; the last good checkpoint is none",
      marks=pytest.mark.slow,
    ),
  ],
)
def test_a_diverged_run_continues_with_a_lower_rate(
  brief, world, tmp_path, every, train_on_validation, message
):
  brief.train.eval_every = every
  brief.train.train_on_validation = train_on_validation
  rate, brief.train.learning_rate = brief.train.learning_rate, 1e38
  with pytest.raises(errors.RunDivergedError, match=message):
    loop.train(brief, world, tmp_path)
  brief.train.learning_rate = rate
  loop.train(brief, world, tmp_path)
  best = runs.best(brief, world.catalog, tmp_path)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(best.params))


def test_rows_without_a_place_end_the_run_with_the_remedy(
  brief, world, tmp_path, monkeypatch
):
  brief.train.table_optimizer = "adagrad"
  spread = hash_tables.spread
  monkeypatch.setattr(
    hash_tables, "spread", lambda *a: (*spread(*a)[:2], jax.numpy.array(False))
  )
  jax.clear_caches()
  with pytest.raises(
    errors.RunDivergedError, match="no place for all hash-"
  ) as e:
    loop.train(brief, world, tmp_path)
  assert 'set train.table_optimizer to "adam"' in str(e.value)
  assert "rate" not in str(e.value)
  jax.clear_caches()


def test_a_batch_that_does_not_divide_is_refused(brief, world, tmp_path):
  brief.train.batch_size = 12
  with pytest.raises(ValueError, match="batch_size 12 does not divide over 8"):
    loop.train(brief, world, tmp_path)


def _validating(monkeypatch, recalls):
  """Makes the validations of a run return given recalls, in order."""
  left = iter(recalls)
  monkeypatch.setattr(
    loop._Validator, "__call__", lambda *_: {checkpoint.METRIC: next(left)}
  )


def test_training_stops_after_validations_without_a_new_best(
  brief, world, tmp_path, monkeypatch
):
  brief.train.steps, brief.train.eval_every, brief.train.patience = 9, 1, 2
  _validating(monkeypatch, [0.1, 0.3, 0.2, 0.4, 0.4, 0.3, 1.0])
  report = loop.train(brief, world, tmp_path)
  # The third validation was worse and the fourth a new best.
  assert report.last_step == 6
  assert report.best_step == 5  # Of equal validations, the last is taken.
  assert runs.progress(tmp_path) == (5, 6, 2)
  assert runs.is_finished(brief, tmp_path)
  again = loop.train(brief, world, tmp_path)  # It is not trained on.
  assert again.train_seconds == 0
  assert again.last_step == 6
  brief.train.patience = 3
  assert not runs.is_finished(brief, tmp_path)


@pytest.mark.slow
def test_a_stopped_run_remembers_its_patience(
  brief, world, tmp_path, monkeypatch
):
  brief.train.steps, brief.train.eval_every, brief.train.patience = 9, 2, 2
  _validating(monkeypatch, [0.3, 0.2, 0.3])
  with monkeypatch.context() as patch:
    _stopping_at(4, patch)  # After step 5, between two validations.
    with pytest.raises(errors.RunStoppedError, match="after step 5"):
      loop.train(brief, world, tmp_path)
  assert runs.progress(tmp_path) == (2, 5, 1)
  assert loop.train(brief, world, tmp_path).last_step == 6


@pytest.mark.slow
def test_without_patience_all_steps_are_taken(
  brief, world, tmp_path, monkeypatch
):
  brief.train.eval_every = 1
  _validating(monkeypatch, [0.9, 0.1, 0.1, 0.1, 0.1, 0.1])
  report = loop.train(brief, world, tmp_path)
  assert (report.best_step, report.last_step) == (1, 6)


@pytest.mark.slow
def test_validations_that_find_nothing_are_explained(
  brief, world, tmp_path, monkeypatch, caplog
):
  """All targets of the validation are repeats, and the list leaves them out."""
  brief.train.steps, brief.train.eval_every = 5, 1
  cases = evaluation_cases.cases

  def repeated(*arguments, **options):
    return [
      dataclasses.replace(
        case,
        past=case.targets,
        targets=case.targets,
      )
      for case in cases(*arguments, **options)
    ]

  monkeypatch.setattr(runs.evaluation_cases, "cases", repeated)
  with caplog.at_level("WARNING", logger="absl"):
    loop.train(brief, world, tmp_path)
  (line,) = [m for m in caplog.messages if "found none of" in m]
  assert line.startswith("3 validations in a row found none of ")
  assert (
    "100.0% of the targets are items that index.filter_seen=engagements leaves"
  ) in line


@pytest.mark.slow
def test_a_report_names_what_lists_leave_out(brief, world, tmp_path):
  report = loop.train(brief, world, tmp_path)
  assert report.figures()["filter_seen"] == "engagements"
