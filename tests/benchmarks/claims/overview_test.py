"""The table of all claims, and the stored results behind it."""

import importlib
import json
import math
import pathlib
import re

import logs
import overview
import pytest
import report
import rows
import suite

ROOT = pathlib.Path(__file__).parents[3]


def _test(
  metric, gain, label="reproduced", *, std: float | None = 0.012, **fields
):
  test = {
    "metric": metric,
    "arm": "with",
    "baseline": "without",
    "paper": None,
    "decrease": False,
    "gain": gain,
    "std": std,
    "label": label,
  }
  return test | fields


def _report(log, plot="arms", **tests):
  return {
    "log": log,
    "rows": {
      name: {"seeds": 3, "plot": plot, "verdicts": own}
      for name, own in tests.items()
    },
  }


def _cells(line):
  return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_claim_has_a_line_and_a_log_a_column():
  one = _report(
    "one",
    ids=[_test("recall@10", 0.081, paper=0.14)],
    cold=[_test("recall@10", None, "not testable", std=None)],
  )
  two = _report("two", ids=[_test("recall@10", -1.5, "contradicted", std=0.2)])
  head, _, ids, cold = map(_cells, overview.table([one, two]).splitlines())
  assert head == ["row", "comparison", "paper", "one, 3 seeds", "two, 3 seeds"]
  assert ids == [
    "ids",
    "recall@10: with vs. without",
    "+14.0 %",
    "+8.1 ± 1.2 % ✓",
    "−150 ± 20.0 % ✗",
  ]
  assert cold[2:] == ["increase", "–", ""]


@pytest.mark.parametrize(
  ("over", "expected"),
  [
    ("users and seeds", "+8.1 % (−0.4 to +210) ✓"),
    ("users", "+8.1 % (−0.4 to +210 over users) ✓"),
    ("seeds", "+8.1 ± 1.2 % ✓"),
  ],
)
def test_a_cell_says_what_its_interval_is_over(over, expected):
  test = _test("recall@10", 0.081, low=-0.004, high=2.1, over=over)
  line = overview.table([_report("one", ids=[test])]).splitlines()[-1]
  assert _cells(line)[-1] == expected


@pytest.mark.parametrize("plot", ["matrix", "curve"])
def test_the_outcomes_of_a_row_share_a_line_by_the_expected_direction(plot):
  tests = [
    _test("recall@10/click", 0.05),
    _test("recall@10/save", 0.2),
    _test("recall@10/save", -0.5, decrease=True),
    _test("recall@10/click", 0.01, "contradicted", decrease=True),
  ]
  table = overview.table([_report("one", plot, outcomes=tests)])
  _, _, gains, losses = map(_cells, table.splitlines())
  assert gains[1:] == [
    overview.PER_OUTCOME[plot][0],
    "increase",
    "+5.0 to +20.0 %: 2 ✓",
  ]
  assert losses[2:] == ["decrease", "−50.0 to +1.0 %: 1 ✓, 1 ✗"]


def test_the_head_says_if_rows_have_different_numbers_of_seeds():
  report = _report("one", ids=[_test("recall@10", 0.1)], cold=[])
  report["rows"]["ids"]["seeds"] = 2
  head = _cells(overview.table([report]).splitlines()[0])
  assert head[-1] == "one, 2 to 3 seeds"


def test_a_comparison_of_ours_has_no_figure_of_the_paper():
  test = _test("recall@10", 0.081, ours=True)
  line = overview.table([_report("one", ids=[test])]).splitlines()[-1]
  assert _cells(line)[2] == "not reported"


def test_a_row_without_seeds_has_no_line():
  report = {"log": "one", "rows": {"ids": {"seeds": 0, "claim": "more"}}}
  assert overview.table([report]).count("\n") == 1


# What the stored results of MovieLens lack; see the limitations of
# docs/claims.md.
UNMEASURED = {
  "multi_token": {
    "OC 1 x 1",
    "MT at the nearest offset",
    "MT at the farthest offset",
    "distinct_recall@100",
    "retrieved_diversity@10",
  },
  "recency": {"OC 1 x 1"},
  "steps": {"distinct_recall@100"},
}


# Rows that were measured with other settings than all others of their log; see
# the limitations of docs/claims.md.
APART = {
  "pure": {
    "oc_over_uc", "conditioning", "budget", "multi_token", "steps", "family",
    "recency",
  }
}  # fmt: skip


def _stored(log):
  return json.loads((ROOT / "results" / f"claims_{log}.json").read_text())


@pytest.mark.parametrize("log", list(logs.LOGS))
def test_stored_results_have_the_names_of_the_rows(log):
  whole = rows.suite_of(log, logs.get_config(log))
  stored = _stored(log)["rows"]
  assert list(stored) == list(whole.rows)
  for name, row in whole.rows.items():
    own = stored[name]
    if own["seeds"]:
      assert (own["title"], own["claim"]) == (row.title, row.claim)
      missing = UNMEASURED.get(name, set()) if log == "ml_1m" else set()
      assert list(own["arms"]) == [a for a in row.arms if a not in missing]
      assert own["metrics"] == [m for m in row.metrics if m not in missing]


@pytest.mark.parametrize("log", list(logs.LOGS))
def test_arms_with_one_model_are_stored_with_one_models_figures(log):
  """The models may be trained twice, and then differ as seeds differ."""
  whole = rows.suite_of(log, logs.get_config(log))
  stored = _stored(log)
  found: dict[tuple, dict] = {}
  for name, row in whole.rows.items():
    arms = stored["rows"].get(name, {}).get("arms", {})
    apart_from_others = name in APART.get(log, set())
    for arm in set(row.arms) & set(arms):
      model = suite.model_key(whole.base, row.arms[arm])
      key = suite.key(suite.evaluated(whole.base, row.arms[arm]))
      for metric, own in arms[arm].items():
        same = (model, key, metric, apart_from_others)
        other = found.setdefault(same, own)
        apart = abs(own["mean"] - other["mean"])
        std = math.hypot(own["std"], other["std"])
        assert apart <= 2 * std, (name, arm, metric)


@pytest.mark.parametrize("log", ["synthetic", "pure", "ml_1m"])
def test_results_without_values_per_user_are_judged_over_seeds(log):
  stored = _stored(log)
  for row in stored["rows"].values():
    for test in row.get("verdicts", []):
      if not test.get("bootstrap"):
        for added in ("low", "high", "over", "bootstrap"):
          test.pop(added, None)
  before = overview.table([stored])
  judged = report.judged(stored)
  assert overview.table([judged]) == before
  over = [
    test["over"]
    for row in judged["rows"].values()
    for test in row.get("verdicts", [])
    if not test.get("bootstrap")
  ]
  assert set(over) == {"seeds"}


def test_the_stored_table_is_current():
  """benchmarks/claims/report.py writes it; see docs/reproduction.md."""
  pages = (ROOT / "docs" / "reproduction.md").read_text()
  names = re.findall(r"results/claims_(\w+)\.json", pages)
  order = list(dict.fromkeys(names))
  assert set(order) == set(logs.LOGS)
  table = overview.table([_stored(log) for log in order])
  for page in ("claims/README.md", "claims.md"):
    assert table in (ROOT / "docs" / page).read_text()


@pytest.mark.parametrize("name", rows.ROWS)
def test_the_notes_of_a_row_expect_the_stored_figures(name):
  """The error shows what the note should say."""
  order = ("synthetic", "mini", "pure", "ml_1m")
  lines = overview.table([_stored(log) for log in order]).splitlines()[2:]
  text = importlib.import_module(f"rows.{name}").__doc__ or ""
  note = " ".join(text.split())
  for row, comparison, paper, *cells in map(_cells, lines):
    if row == name:
      found = [f"{log} {c}" for log, c in zip(order, cells, strict=True) if c]
      assert f"* {comparison} (paper: {paper}): {'; '.join(found)}" in note
