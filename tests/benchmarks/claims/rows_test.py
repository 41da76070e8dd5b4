"""The rows of every log are valid and compare equal training."""

import pathlib

import logs
import pytest
import rows
import suite

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


def test_uc_is_compared_at_equal_vectors(mini):
  outcomes = mini.vocabulary.outcome_names
  assert outcomes == logs.OUTCOMES["mini"]
  row = rows.suite_of("mini", logs.get_config(), ["oc_over_uc"])
  arm = row.rows["oc_over_uc"].arms["UC at equal vectors"]
  assert arm.evaluate["decode.steps"] == len(outcomes)


def test_every_module_is_a_row_and_names_its_command():
  files = {path.stem for path in HERE.glob("*.py")} - {"__init__"}
  assert files == set(rows.ROWS)
  for name in files:
    assert f"--rows={name}" in (HERE / f"{name}.py").read_text()
