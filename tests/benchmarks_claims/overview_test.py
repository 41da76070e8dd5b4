import json
import math
import pathlib
import runpy

import pytest

from pinrec_jax.claims import overview, suite

ROOT = pathlib.Path(__file__).parents[2]


def _test(
  metric, gain, label="reproduced", *, spread: float | None = 0.012, **fields
):
  told = {
    "metric": metric, "arm": "with", "over": "without", "paper": None,
    "loss": False, "gain": gain, "spread": spread, "label": label,
  }  # fmt: skip
  return told | fields


def _report(log, plot="line", **rows):
  return {
    "log": log,
    "rows": {
      name: {"seeds": 3, "plot": plot, "verdicts": tests}
      for name, tests in rows.items()
    },
  }


def _cells(line):
  return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_line_a_claim_and_a_column_a_log():
  one = _report(
    "one",
    ids=[_test("recall@10", 0.081, paper=0.14)],
    cold=[_test("recall@10", None, "undefined", spread=None)],
  )
  two = _report(
    "two", ids=[_test("recall@10", -1.5, "not reproduced", spread=0.2)]
  )
  head, _, ids, cold = map(_cells, overview.table([one, two]).splitlines())
  assert head == ["row", "what", "the paper's", "one, 3 seeds", "two, 3 seeds"]
  assert ids == [
    "ids", "recall@10 of with, over without", "+14.0 %", "+8.1 ± 1.2 % ✓",
    "−150 ± 20.0 % ✗",
  ]  # fmt: skip
  assert cold[2:] == ["a gain", "–", ""]


@pytest.mark.parametrize("plot", ["matrix", "curve"])
def test_outcomes_of_a_row_share_a_line_by_what_ought_to_be(plot):
  tests = [
    _test("recall@10/click", 0.05),
    _test("recall@10/save", 0.2),
    _test("recall@10/save", -0.5, loss=True),
    _test("recall@10/click", 0.01, "not reproduced", loss=True),
  ]
  _, _, gains, losses = map(
    _cells, overview.table([_report("one", plot, outcomes=tests)]).splitlines()
  )
  assert gains[1:] == [
    overview.PER_OUTCOME[plot][0], "a gain", "+5.0 to +20.0 %, 2 of 2 ✓"
  ]  # fmt: skip
  assert losses[2:] == ["a loss", "−50.0 to +1.0 %, 1 of 2 ✓"]


def test_a_row_that_was_not_run_has_no_line():
  told = {"log": "one", "rows": {"ids": {"seeds": 0, "claim": "more"}}}
  assert overview.table([told]).count("\n") == 1


@pytest.mark.parametrize("log", ["mini", "synthetic", "pure", "ml_1m"])
def test_arms_that_are_one_model_are_stored_with_one_models_figures(log):
  """However often it was trained: the spread of seeds parts them, no more."""
  whole = runpy.run_path(str(ROOT / "configs/claims.py"))["get_config"](log)
  stored = json.loads((ROOT / "results" / f"claims_{log}.json").read_text())
  found: dict[tuple, dict] = {}
  for name, row in whole.rows.items():
    arms = stored["rows"].get(name, {}).get("arms", {})
    for arm in set(row.arms) & set(arms):
      trained = suite.training_key(whole.base, row.arms[arm])
      asked = suite.key(suite.asked(whole.base, row.arms[arm]))
      for metric, told in arms[arm].items():
        other = found.setdefault((trained, asked, metric), told)
        apart = abs(told["mean"] - other["mean"])
        spread = math.hypot(told["spread"], other["spread"])
        assert apart <= 2 * spread, (name, arm, metric)
