"""One table of all claims on all logs."""

from collections.abc import Mapping, Sequence
from typing import Any

from pinrec_jax import markdown

MARKS = {
  "reproduced": "✓",
  "another regime": "⇑",
  "direction only": "○",
  "no significant difference": "≈",
  "contradicted": "✗",
  "not testable": "–",
}
LEGEND = (
  "Each cell is the relative gain over the baseline arm. Parentheses have its "
  "95 % interval, by paired bootstrap over users and seeds. A cell with ± has "
  "mean ± standard deviation over seeds instead. Its metric belongs to all "
  "lists together, or it was measured before values per user were stored. "
  + ", ".join(f"{mark} {label}" for label, mark in MARKS.items())
  + ". Significance is by the bootstrap, or by a paired t-test over seeds in a "
  "cell with ±. It is adjusted for all comparisons of a log "
  "(Benjamini-Hochberg, 5 %). Another regime means over five times the "
  "paper's gain, so something else is at work. Contradicted means a "
  "significant gain in the other direction. A cell of several outcomes has "
  "their smallest and largest gain, and how many have which verdict. A cell is "
  "empty if the row was not run on the log."
)
# Lines of the table that summarize one test per outcome, by kind of plot. The
# first has the expected increases, the second the expected decreases.
PER_OUTCOME = {
  "matrix": (
    "recall@10 of the requested outcome: OC vs. UC",
    "recall@10 of each other outcome: OC vs. UC",
  ),
  "curve": (
    "recall@10 of the last outcome: 100 % vs. 0 % of the budget",
    "recall@10 of the first outcome: 0 % vs. 100 % of the budget",
  ),
}


def table(reports: Sequence[Mapping[str, Any]]) -> str:
  """Returns a Markdown table with one line per claim and one column per log.

  Args:
    reports: one report per log, as `report.write` returns them.
  """
  logs = [_lines(report) for report in reports]
  lines = dict.fromkeys(key for log in logs for key in log)
  names = [_head(report) for report in reports]
  rows = []
  for row, text in _by_row(lines):
    found = [log.get((row, text), []) for log in logs]
    paper = next(expected(tests[0]) for tests in found if tests)
    rows.append([row, text, paper, *map(_cell, found)])
  return markdown.table(["row", "comparison", "paper", *names], rows)


def expected(test: Mapping[str, Any]) -> str:
  """Returns what the paper reports, as "+2.8 %" or "increase"."""
  if test.get("ours"):
    return "not reported"
  if test["paper"] is None:
    return "decrease" if test["decrease"] else "increase"
  return f"{_signed(test['paper'])} %"


def comparison(test: Mapping[str, Any]) -> str:
  """Returns the metric and the two arms of a test."""
  return f"{test['metric']}: {test['arm']} vs. {test['baseline']}"


def _head(report: Mapping[str, Any]) -> str:
  seeds = {row["seeds"] for row in report["rows"].values() if row["seeds"]}
  bounds = sorted({min(seeds, default=0), max(seeds, default=0)})
  return f"{report['log']}, {' to '.join(map(str, bounds))} seeds"


def _by_row(
  lines: Mapping[tuple[str, str], None],
) -> list[tuple[str, str]]:
  """Puts the lines that a later log adds to a row beside the row's others."""
  rows = list(dict.fromkeys(row for row, _ in lines))
  return sorted(lines, key=lambda line: rows.index(line[0]))


def _lines(
  report: Mapping[str, Any],
) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
  """Returns the verdicts of each line of the table."""
  lines: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
  for name, row in report["rows"].items():
    for test in row.get("verdicts", []):
      text = comparison(test)
      if row["plot"] in PER_OUTCOME:
        text = PER_OUTCOME[row["plot"]][test["decrease"]]
      lines.setdefault((name, text), []).append(test)
  return lines


def _cell(tests: Sequence[Mapping[str, Any]]) -> str:
  gains = [test["gain"] for test in tests if test["gain"] is not None]
  if not tests:
    return ""
  if not gains:
    return MARKS["not testable"]
  if len(tests) == 1:
    (test,) = tests
    return f"{_signed(gains[0])}{_spread(test)} {MARKS[test['label']]}"
  counts = {
    m: sum(t["label"] == name for t in tests) for name, m in MARKS.items()
  }
  verdicts = ", ".join(f"{n} {mark}" for mark, n in counts.items() if n)
  return f"{_signed(min(gains))} to {_signed(max(gains))} %: {verdicts}"


def _spread(test: Mapping[str, Any]) -> str:
  """Returns the unit of a gain, with its interval or standard deviation."""
  over = test.get("over", "seeds")  # Earlier reports do not say.
  if over == "seeds":
    return f" ± {_number(test['std'])} %" if test["std"] else " %"
  bounds = f"{_signed(test['low'])} to {_signed(test['high'])}"
  return f" % ({bounds}{' over users' * (over == 'users')})"


def _signed(fraction: float) -> str:
  return f"{'−' if fraction < 0 else '+'}{_number(abs(fraction))}"


def _number(fraction: float) -> str:
  """Returns a percentage; above 100, without decimals."""
  return f"{100 * fraction:.{0 if fraction >= 1 else 1}f}"
