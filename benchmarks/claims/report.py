"""What a suite found, in words, in numbers and as plots.

  python -m pinrec_jax.claims.report results/claims_*.json docs/claims README.md

draws the tables and the plots of stored reports anew, a README.md in that
folder, where all of them stand side by side, and this table between the two
MARKS of every page named after the folder.
"""

import dataclasses
import json
import math
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from pinrec_jax import markdown
from pinrec_jax.claims import overview
from pinrec_jax.claims import suite as suite_lib
from pinrec_jax.claims import verdict as verdict_lib
from pinrec_jax.evals import plots
from pinrec_jax.types import Number

Figures = Mapping[str, Sequence[Mapping[str, Number]]]  # by arm, one a seed
MARKS = "<!-- claims -->", "<!-- end of claims -->"
SIZES = (
  "vectors",
  "parameters",
  "withheld_candidates",
)  # told in the table and not drawn
DRAWN = {
  "line": plots.arms,
  "matrix": plots.gains,
  "curve": plots.trade_off,
}


def write(
  suite: suite_lib.Suite, figures: Mapping[str, Figures], workdir: pathlib.Path
) -> dict[str, Any]:
  """Writes report.json, report.md and a plot a row; returns the first."""
  told: dict[str, Any] = {
    "log": suite.base.data.name,
    "device": jax.devices()[0].device_kind,
    "rows": {
      name: _row(row, figures[name]) for name, row in suite.rows.items()
    },
  }
  (workdir / "report.json").write_text(json.dumps(told, indent=1) + "\n")
  show(told, workdir / "report.md")
  return told


def show(told: Mapping[str, Any], path: pathlib.Path) -> None:
  """Writes a report's text, and beside it a plot a row."""
  text = [f"# Claims on {told['log']}", ""]
  for name, row in told["rows"].items():
    text += [f"## {name}", "", f"{row['claim']} Seeds: {row['seeds']}.", ""]
    if not row["seeds"]:
      continue
    plot = f"{path.stem}_{name}.png" if path.stem != "report" else f"{name}.png"
    text += [_table(row), ""]
    text += [_sentence(found) for found in row["verdicts"]]
    text += ["", f"![{name}]({plot})", ""]
    drawn = [name for name in row["metrics"] if name not in SIZES]
    DRAWN[row["plot"]](row["arms"], drawn, path.with_name(plot))
  path.write_text("\n".join(text).rstrip() + "\n")


def _row(row: suite_lib.Row, figures: Figures) -> dict[str, Any]:
  """Returns all there is to tell of a row."""
  seeds = len(next(iter(figures.values()), ()))
  told = {"claim": row.claim, "seeds": seeds}
  if not seeds:
    return told
  return told | {
    "plot": row.plot,
    "metrics": row.metrics,
    "arms": {arm: summary(row, figures[arm]) for arm in row.arms},
    "verdicts": [
      {
        **dataclasses.asdict(test),
        **{
          key: _number(value)
          for key, value in judged(test, figures)._asdict().items()
        },
      }
      for test in row.tests
    ],
  }


def summary(
  row: suite_lib.Row, reports: Sequence[Mapping[str, Number]]
) -> dict[str, dict[str, Any]]:
  """Returns each seed's figure, the mean and the spread of what a row shows.

  Raises:
    ValueError: naming a metric that the report lacks.
  """
  found = {}
  names = dict.fromkeys([*row.metrics, *(test.metric for test in row.tests)])
  for name in names:
    if name not in reports[0]:
      raise ValueError(
        f"no report has {name!r}; name a key of evals.run.evaluate, such as "
        "recall@10"
      )
    values = [report[name] for report in reports]
    # Of what was not there to be found both are no number.
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    found[name] = {
      "mean": float(np.mean(values)),
      "spread": spread,
      "seeds": values,
    }
  return found


def judged(test: suite_lib.Test, figures: Figures) -> verdict_lib.Verdict:
  """Returns the verdict of a test."""
  arm, over = (
    [report[test.metric] for report in figures[name]]
    for name in (test.arm, test.over)
  )
  return verdict_lib.judge(arm, over, test.paper, loss=test.loss)


def _number(value: Any) -> Any:
  """JSON has no number that is none."""
  return None if isinstance(value, float) and math.isnan(value) else value


def _table(row: Mapping[str, Any]) -> str:
  rows = [
    [
      arm,
      *(
        f"{found[name]['mean']:.4g} ± {found[name]['spread']:.2g}"
        for name in row["metrics"]
      ),
    ]
    for arm, found in row["arms"].items()
  ]
  return markdown.table(["", *row["metrics"]], rows)


def _sentence(found: Mapping[str, Any]) -> str:
  paper = "a loss" if found["loss"] else "a gain"
  if found["paper"] is not None:
    paper += f" of {100 * found['paper']:.1f} %"
  gain = "none" if found["gain"] is None else f"{100 * found['gain']:+.1f}"
  if found["spread"] is not None:
    gain += f" ± {100 * found['spread']:.1f}"
  reason = f" ({found['reason']})" if found["reason"] else ""
  return (
    f"* {found['metric']} of {found['arm']} over {found['over']}: {gain} %, "
    f"the paper's is {paper}: **{found['label']}**{reason}"
  )


def main(arguments: Sequence[str]) -> None:
  """Draws stored reports anew; ends with a message where one is none."""
  named = [pathlib.Path(name) for name in arguments if name.endswith(".md")]
  others = [name for name in arguments if not name.endswith(".md")]
  if len(others) < 2:
    sys.exit("error: give one report.json or more, and the folder to draw in")
  *reports, folder = map(pathlib.Path, others)
  told = [_stored(report) for report in reports]
  pages = {page: _around(page) for page in named}
  folder.mkdir(parents=True, exist_ok=True)
  for report, one in zip(reports, told, strict=True):
    show(one, folder / f"{report.stem}.md")
  table = f"{overview.table(told)}\n\n{overview.LEGEND}"
  links = [
    f"* [{one['log']}]({report.stem}.md)"
    for report, one in zip(reports, told, strict=True)
  ]
  text = "\n".join(["# Claims", "", table, "", *links])
  (folder / "README.md").write_text(text + "\n")
  for page, (before, after) in pages.items():
    page.write_text(f"{before}\n\n{table}\n\n{after}")


def _around(page: pathlib.Path) -> tuple[str, str]:
  """Returns a page up to where the table begins, and from where it ends."""
  begin, end = MARKS
  try:
    before, _, rest = page.read_text().partition(begin)
  except OSError as error:
    sys.exit(f"error: {page} cannot be read ({error}); name a page there is")
  if end not in rest:
    sys.exit(
      f"error: {page} has no lines {begin} and, below it, {end}; write them "
      "where the table belongs"
    )
  return before + begin, rest[rest.index(end) :]


def _stored(report: pathlib.Path) -> dict[str, Any]:
  try:
    told = json.loads(report.read_text())
    return {**told, "log": told["log"], "rows": dict(told["rows"])}
  except (OSError, ValueError, KeyError, TypeError) as error:
    sys.exit(
      f"error: {report} is no stored report ({type(error).__name__}: {error}); "
      "give the report.json that --mode=reproduce wrote"
    )


if __name__ == "__main__":
  main(sys.argv[1:])
