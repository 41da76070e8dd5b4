"""The rows of every log are valid and compare equal training."""

import pathlib

import logs
import numpy as np
import plots
import pytest
import report
import rows
import suite
from rows import multi_token

from pinrec_jax.data import evaluation_cases, histories, schema

HERE = pathlib.Path(rows.__file__).parent
# An arm that is shown without a test. It stops where its validation recall
# falls.
UNTESTED = {("mini", "finetune"): "tab_1 only"}
every_log = pytest.mark.parametrize("log", list(logs.LOGS))


@every_log
def test_rows_are_valid_and_can_be_chosen(log):
  base = logs.get_config(log)
  whole = rows.suite_of(log, base)
  assert suite.models(whole)
  some = rows.suite_of(log, base, ["budget", "logq"])
  assert some.rows == {n: whole.rows[n] for n in ("budget", "logq")}
  with pytest.raises(ValueError, match="row 'lift' is unknown"):
    rows.suite_of(log, base, ["lift"])


@every_log
def test_every_plotted_metric_has_a_unit(log):
  for name, row in rows.suite_of(log, logs.get_config(log)).rows.items():
    for metric in set(row.metrics) - set(report.SIZES):
      assert metric.partition("@")[0] in plots.UNITS, (name, metric)


def test_an_unknown_log_is_named():
  with pytest.raises(ValueError, match="log 'moon' is unknown; choose from"):
    logs.get_config("moon")


@every_log
def test_the_arms_of_a_row_are_trained_for_as_long(log):
  whole = rows.suite_of(log, logs.get_config(log))
  for name, row in whole.rows.items():
    untested = UNTESTED.get((log, name))
    assert untested not in {a for t in row.tests for a in (t.arm, t.baseline)}
    trained = {
      (
        train.steps,
        train.batch_size,
        train.learning_rate,
        train.train_on_validation,
      )
      for own, arm in row.arms.items()
      if arm.init_from is None and own != untested
      for train in [suite.evaluated(whole.base, arm).train]
    }
    assert len(trained) == 1, name
    if name in rows.SHORTER.get(log, ()):
      assert trained == {(3000, 8, 2e-3, True)}


@every_log
def test_compared_arms_have_the_same_test_users(log):
  """Else their gains cannot be paired by user; see `intervals.of_row`."""
  whole = rows.suite_of(log, logs.get_config(log))
  for row in whole.rows.values():
    for test in row.tests:
      arm, baseline = (row.arms[name] for name in (test.arm, test.baseline))
      assert arm.cold_fraction == baseline.cold_fraction
      one, other = (
        suite.evaluated(whole.base, own).data for own in (arm, baseline)
      )
      assert one.target_surface == other.target_surface
      assert one.target_outcomes == other.target_outcomes


def test_uc_is_compared_at_equal_vectors(mini):
  outcomes = mini.vocabulary.outcome_names
  assert outcomes == logs.OUTCOMES["mini"]
  row = rows.suite_of("mini", logs.get_config(), ["oc_over_uc"])
  arm = row.rows["oc_over_uc"].arms["UC at equal vectors"]
  assert arm.evaluate["decode.steps"] == len(outcomes)


def test_requests_on_kuairand_can_reach_every_time_ahead(mini):
  """Every bucket has validation targets and examples of training."""
  edges = multi_token.offsets("mini")[1:]
  assert multi_token.offsets("pure")[1:] == edges
  ahead = [
    case.targets.time - past.time[-1]
    for case in evaluation_cases.cases(mini, "validation")
    for past in [histories.visible(case.past, "engagements")]
    if len(past.time) and past.time[-1] != schema.UNKNOWN_TIME
  ]
  assert (edges[0], edges[-1]) == (6 * 3600, 96 * 3600)
  sooner = [(np.concatenate(ahead) < edge).mean() for edge in edges]
  assert (sooner[0], sooner[-1]) == pytest.approx((0.03, 0.95), abs=0.005)
  length = logs.get_config().data.sequence_length
  trained = [
    time[later] - time[earlier]
    for events in mini.events
    for time in [_engaged(events, mini.vocabulary.test_from)[-length:]]
    for earlier, later in [np.triu_indices(len(time), 1)]
  ]
  for seconds in (ahead, trained):
    bucket = np.searchsorted(edges, np.concatenate(seconds), side="right")
    number = np.bincount(bucket, minlength=len(edges) + 1)
    assert (number / number.sum()).min() > 0.005


def _engaged(events, end):
  """Returns the known times of a user's engagements before a time."""
  known = (events.time != schema.UNKNOWN_TIME) & (events.time < end)
  return events.time[known & events.engaged]


def test_arms_of_several_vectors_are_compared_at_equal_items():
  row = rows.suite_of("mini", logs.get_config(), ["multi_token"]).rows[
    "multi_token"
  ]
  vectors = {
    name: arm.evaluate.get("decode.steps", 1)
    * len(arm.evaluate.get("decode.offsets", (-1,)))
    for name, arm in row.arms.items()
  }
  assert {name for name, number in vectors.items() if number == 1} == {
    "OC 1 x 1",
    "MT at the nearest offset",
    "MT at the farthest offset",
  }
  assert set(vectors.values()) == {1, 16}
  assert {
    test.baseline for test in row.tests if test.metric == "distinct_recall@100"
  } == {"OC 16 x 1", "OC 1 x 1"}


def test_every_module_is_a_row_and_names_its_command():
  files = {path.stem for path in HERE.glob("*.py")} - {"__init__"}
  assert files == set(rows.ROWS)
  for name in files:
    assert f"--rows={name}" in (HERE / f"{name}.py").read_text()
