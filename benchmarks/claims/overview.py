"""Every claim on every log in one table."""

from collections.abc import Mapping, Sequence
from typing import Any

from pinrec_jax import markdown

MARKS = {
  "reproduced": "✓",
  "direction only": "○",
  "within the spread": "≈",
  "not reproduced": "✗",
  "undefined": "–",
}
LEGEND = (
  "Gains over the other arm, mean ± standard deviation over seeds. "
  + ", ".join(f"{mark} {label}" for label, mark in MARKS.items())
  + "; of several, the least and the most of them, and how many are "
  f"{MARKS['reproduced']}. Empty: not run, or not there."
)
# What the tests of a row are told as that are one test per outcome: what ought
# to be gained, and what lost.
PER_OUTCOME = {
  "matrix": (
    "recall@10 of the outcome asked for, over UC",
    "... and of each other outcome",
  ),
  "curve": (
    "recall@10 of the outcome the whole budget went to, over that without any",
    "... and of the outcome it went from",
  ),
}


def table(reports: Sequence[Mapping[str, Any]]) -> str:
  """Returns a Markdown table, a claim a row and a log a column.

  Args:
    reports: as `report.write` returns them, one a log.
  """
  logs = [_lines(told) for told in reports]
  lines = dict.fromkeys(key for log in logs for key in log)
  names = [_head(told) for told in reports]
  rows = []
  for row, what in _by_row(lines):
    found = [log.get((row, what), []) for log in logs]
    paper = next(_paper(tests) for tests in found if tests)
    cells = [_cell(tests) for tests in found]
    rows.append([row, what, paper, *cells])
  return markdown.table(["row", "what", "the paper's", *names], rows)


def _head(told: Mapping[str, Any]) -> str:
  seeds = [row["seeds"] for row in told["rows"].values() if row["seeds"]]
  return f"{told['log']}, {min(seeds, default=0)} seeds"


def _by_row(
  lines: Mapping[tuple[str, str], None],
) -> list[tuple[str, str]]:
  """Sorts what logs add to a row beside what it has already."""
  rows = list(dict.fromkeys(row for row, _ in lines))
  return sorted(lines, key=lambda line: rows.index(line[0]))


def _lines(
  told: Mapping[str, Any],
) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
  """Returns the verdicts behind each line of the table."""
  lines: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
  for name, row in told["rows"].items():
    for test in row.get("verdicts", []):
      what = f"{test['metric']} of {test['arm']}, over {test['over']}"
      if row["plot"] in PER_OUTCOME:
        what = PER_OUTCOME[row["plot"]][test["loss"]]
      lines.setdefault((name, what), []).append(test)
  return lines


def _paper(tests: Sequence[Mapping[str, Any]]) -> str:
  told = tests[0]["paper"]
  if told is None:
    return "a loss" if tests[0]["loss"] else "a gain"
  return f"{_signed(told)} %"


def _cell(tests: Sequence[Mapping[str, Any]]) -> str:
  gains = [test["gain"] for test in tests if test["gain"] is not None]
  if not tests:
    return ""
  if not gains:
    return MARKS["undefined"]
  if len(tests) == 1:
    (test,) = tests
    spread = f" ± {_number(test['spread'])}" if test["spread"] else ""
    return f"{_signed(gains[0])}{spread} % {MARKS[test['label']]}"
  reproduced = sum(test["label"] == "reproduced" for test in tests)
  return (
    f"{_signed(min(gains))} to {_signed(max(gains))} %, "
    f"{reproduced} of {len(tests)} {MARKS['reproduced']}"
  )


def _signed(share: float) -> str:
  return f"{'−' if share < 0 else '+'}{_number(abs(share))}"


def _number(share: float) -> str:
  """Returns per cents, to a tenth where they are fewer than a hundred."""
  return f"{100 * share:.{0 if share >= 1 else 1}f}"
