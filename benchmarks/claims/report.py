"""Reports of a suite: figures, tables, verdicts and plots.

  python benchmarks/claims/report.py results/claims_*.json docs/claims \
    docs/claims.md

judges stored reports again and redraws them, without running anything. It
stores the verdicts in the reports. It writes a page and the plots of each
report into the folder, and a README.md with one table of all logs. It also
writes this table between the two MARKS of every page that is named after the
folder.
"""

import argparse
import dataclasses
import math
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import intervals
import jax
import numpy as np
import overview
import plots
import suite as suite_lib
import verdict as verdict_lib

from pinrec_jax import files, markdown

# Figures of each arm, one mapping per seed.
Figures = Mapping[str, Sequence[Mapping[str, float]]]
MARKS = "<!-- claims -->", "<!-- end of claims -->"
NOTE = (
  "A number after ± is a standard deviation over seeds. A 95 % interval is by "
  "paired bootstrap."
)
# Figures that the table shows and the plot does not.
SIZES = ("vectors", "parameters", "cold_candidates")
PLOTS = {"arms": plots.arms, "matrix": plots.matrix, "curve": plots.curve}


class Measured(NamedTuple):
  """What a row has measured.

  Attributes:
    figures: of each arm, one mapping per seed.
    gains: of each test, by bootstrap; None if its metric has no values per
      user.
  """

  figures: Figures
  gains: Sequence[intervals.Bootstrap | None]


def write(
  suite: suite_lib.Suite,
  measured: Mapping[str, Measured],
  workdir: pathlib.Path,
) -> dict[str, Any]:
  """Writes report.json, report.md and one plot per row.

  Args:
    suite: claims on a log.
    measured: by row.
    workdir: folder of the files.

  Returns:
    The content of report.json.
  """
  content = {
    "log": suite.base.data.name,
    "device": jax.devices()[0].device_kind,
    "rows": {n: _row(row, measured[n]) for n, row in suite.rows.items()},
  }
  path = workdir / "report.json"
  files.write_json(path, judged(content))
  content = files.read_json(path)
  show(content, workdir / "report.md")
  return content


def show(content: Mapping[str, Any], path: pathlib.Path) -> None:
  """Writes the page of a report, and one plot per row beside it.

  Args:
    content: of report.json.
    path: of the page.
  """
  text = [f"# Claims on {content['log']}", "", NOTE, ""]
  for name, row in content["rows"].items():
    text += [f"## {name}", "", f"{row['claim']} Seeds: {row['seeds']}.", ""]
    if not row["seeds"]:
      continue
    plot = f"{path.stem}_{name}.png" if path.stem != "report" else f"{name}.png"
    text += [
      *(_table(row), "", *map(_sentence, row["verdicts"]), ""),
      *(f"![{row['title']}]({plot})", ""),
    ]
    shown = [metric for metric in row["metrics"] if metric not in SIZES]
    title = f"{row['title']}: {content['log']}, {row['seeds']} seeds"
    if row["plot"] == "arms" and row["verdicts"]:
      title += f"\n{_change(row['verdicts'][0])}"
    PLOTS[row["plot"]](row, shown, title, path.with_name(plot))
  files.write(path, "\n".join(text).rstrip() + "\n")


def _row(row: suite_lib.Row, measured: Measured) -> dict[str, Any]:
  """Returns what report.json holds of a row."""
  figures = measured.figures
  seeds = len(next(iter(figures.values()), ()))
  content = {"title": row.title, "claim": row.claim, "seeds": seeds}
  if not seeds:
    return content
  return content | {
    "plot": row.plot,
    "metrics": row.metrics,
    "arms": {arm: summary(row, figures[arm]) for arm in row.arms},
    "verdicts": [
      {**dataclasses.asdict(test), "bootstrap": own and own._asdict()}
      for test, own in zip(row.tests, measured.gains, strict=True)
    ],
  }


def summary(
  row: suite_lib.Row, reports: Sequence[Mapping[str, float]]
) -> dict[str, dict[str, Any]]:
  """Returns mean, standard deviation and values over seeds of each metric.

  Raises:
    ValueError: naming a metric that the evaluation does not have.
  """
  found = {}
  names = dict.fromkeys([*row.metrics, *(test.metric for test in row.tests)])
  for name in names:
    if name not in reports[0]:
      raise ValueError(
        f"the evaluation has no metric {name!r}; use one of its figures, such "
        "as recall@10"
      )
    values = [report[name] for report in reports]
    found[name] = {
      "mean": float(np.mean(values)),
      "std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
      "values": values,
    }
  return found


def judged(content: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a report with the verdicts on all its comparisons."""
  rows = {name: dict(row) for name, row in content["rows"].items()}
  tests = [(row, test) for row in rows.values() for test in _tests(row)]
  found = verdict_lib.judge(
    [
      verdict_lib.Comparison(
        _values(row, test["arm"], test["metric"]),
        _values(row, test["baseline"], test["metric"]),
        test["paper"],
        test["decrease"],
        _bootstrap(test),
      )
      for row, test in tests
    ]
  )
  judgements = iter(found)
  for row in rows.values():
    if tests := _tests(row):
      row["verdicts"] = [{**t, **next(judgements)._asdict()} for t in tests]
  return {**content, "rows": rows}


def _bootstrap(test: Mapping[str, Any]) -> intervals.Bootstrap | None:
  """Returns the stored bootstrap of a test; earlier reports have none."""
  own = test.get("bootstrap")
  return intervals.Bootstrap(**own) if own else None


def _values(row: Mapping[str, Any], arm: str, metric: str) -> list[float]:
  """Returns an arm's figure of each seed; JSON has null for NaN."""
  values = row["arms"][arm][metric]["values"]
  return [math.nan if value is None else value for value in values]


def _tests(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
  """Returns the comparisons of a row of a report."""
  return row.get("verdicts", [])


def _table(row: Mapping[str, Any]) -> str:
  lines = []
  for arm in row["arms"]:
    found = [plots.value(row, arm, metric) for metric in row["metrics"]]
    lines.append([arm, *(f"{v.mean:.4g} ± {v.std:.2g}" for v in found)])
  return markdown.table(["arm", *row["metrics"]], lines)


def _change(test: Mapping[str, Any]) -> str:
  """Returns the measured gain and the one of the paper."""
  gain = "undefined"
  if test["gain"] is not None:
    gain = f"{100 * test['gain']:+.1f}"
    if test.get("over", "seeds") == "seeds":
      std = "" if test["std"] is None else f" ± {100 * test['std']:.1f}"
      gain += f"{std} %"
    else:
      low, high = (f"{100 * test[end]:+.1f}" for end in ("low", "high"))
      gain += f" %, 95 % interval {low} to {high} over {test['over']}"
  text = f"{overview.comparison(test)}: {gain}"
  return f"{text} (paper: {overview.expected(test)})"


def _sentence(test: Mapping[str, Any]) -> str:
  reason = f" ({test['reason']})" if test["reason"] else ""
  return f"* {_change(test)}: **{test['label']}**{reason}"


def main(arguments: Sequence[str]) -> None:
  """Redraws stored reports; exits with a message if one cannot be read."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("reports", type=pathlib.Path, nargs="+")
  parser.add_argument("folder", type=pathlib.Path)
  parser.add_argument("pages", type=pathlib.Path, nargs="*")
  given = [path for path in arguments if not path.endswith(".md")]
  pages = [pathlib.Path(path) for path in arguments if path.endswith(".md")]
  options = parser.parse_args(given)
  contents = [_stored(path) for path in options.reports]
  around = {page: _around(page) for page in pages}
  folder = options.folder
  folder.mkdir(parents=True, exist_ok=True)
  for path, content in zip(options.reports, contents, strict=True):
    files.write_json(path, content)
    show(content, folder / f"{path.stem}.md")
  table = f"{overview.table(contents)}\n\n{overview.LEGEND}"
  links = [
    f"* [{content['log']}]({path.stem}.md)"
    for path, content in zip(options.reports, contents, strict=True)
  ]
  text = "\n".join(["# Claims on all logs", "", table, "", *links])
  files.write(folder / "README.md", text + "\n")
  for page, (before, after) in around.items():
    files.write(page, f"{before}\n\n{table}\n\n{after}")


def _around(page: pathlib.Path) -> tuple[str, str]:
  """Returns the text of a page before and after the table."""
  begin, end = MARKS
  try:
    before, _, rest = page.read_text("utf-8").partition(begin)
  except OSError as error:
    sys.exit(f"error: {page} cannot be read ({error}); name an existing page")
  if end not in rest:
    sys.exit(
      f"error: {page} does not have the line {begin} and, below it, {end}; add "
      "them where the table belongs"
    )
  return before + begin, rest[rest.index(end) :]


def _stored(path: pathlib.Path) -> dict[str, Any]:
  try:
    content = files.read_json(path)
    content = {**content, "log": content["log"], "rows": {**content["rows"]}}
    return judged(content)
  except (OSError, ValueError, KeyError, TypeError) as error:
    sys.exit(
      f"error: {path} is not a stored report ({type(error).__name__}: "
      f"{error}); give the report.json that reproduce.py wrote"
    )


if __name__ == "__main__":
  main(sys.argv[1:])
