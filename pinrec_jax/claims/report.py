"""What a suite found, in words, in numbers and as plots."""

import json
import math
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from pinrec_jax.claims import suite as suite_lib
from pinrec_jax.claims import verdict as verdict_lib
from pinrec_jax.evals import plots
from pinrec_jax.types import Number

Figures = Mapping[str, Sequence[Mapping[str, Number]]]  # by arm, one a seed


def write(
  suite: suite_lib.Suite, figures: Mapping[str, Figures], workdir: pathlib.Path
) -> dict[str, Any]:
  """Writes report.json, report.md and a plot a row; returns the first."""
  told: dict[str, Any] = {
    "log": suite.base.data.name,
    "device": jax.devices()[0].device_kind,
    "rows": {},
  }
  text = [f"# Claims on {suite.base.data.name}", ""]
  for name, row in suite.rows.items():
    seeds = len(next(iter(figures[name].values()), ()))
    text += [f"## {name}", "", f"{row.claim} Seeds: {seeds}.", ""]
    if not seeds:
      continue
    means = {arm: summary(row, figures[name][arm]) for arm in row.arms}
    verdicts = [(test, judged(test, figures[name])) for test in row.tests]
    told["rows"][name] = {
      "claim": row.claim,
      "seeds": seeds,
      "arms": means,
      "verdicts": [
        {
          "arm": test.arm,
          "over": test.over,
          "metric": test.metric,
          "paper": test.paper,
          "loss": test.loss,
          **{k: _number(v) for k, v in found._asdict().items()},
        }
        for test, found in verdicts
      ],
    }
    text += [*_table(row, means), ""]
    text += [_sentence(test, found) for test, found in verdicts]
    plots.arms(means, row.metrics, workdir / f"{name}.png")
    text += ["", f"![{name}]({name}.png)", ""]
  (workdir / "report.json").write_text(json.dumps(told, indent=1) + "\n")
  (workdir / "report.md").write_text("\n".join(text).rstrip() + "\n")
  return told


def summary(
  row: suite_lib.Row, reports: Sequence[Mapping[str, Number]]
) -> dict[str, dict[str, float]]:
  """Returns mean and standard deviation over seeds of what a row shows.

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
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    found[name] = {"mean": statistics.mean(values), "spread": spread}
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


def _table(
  row: suite_lib.Row, means: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> list[str]:
  lines = ["| | " + " | ".join(row.metrics) + " |"]
  lines.append("|--|" + "--|" * len(row.metrics))
  for arm, found in means.items():
    cells = [
      f"{found[name]['mean']:.4g} ± {found[name]['spread']:.2g}"
      for name in row.metrics
    ]
    lines.append(f"| {arm} | " + " | ".join(cells) + " |")
  return lines


def _sentence(test: suite_lib.Test, found: verdict_lib.Verdict) -> str:
  paper = "a loss" if test.loss else "a gain"
  if test.paper is not None:
    paper += f" of {100 * test.paper:.1f} %"
  spread = "" if math.isnan(found.spread) else f" ± {100 * found.spread:.1f}"
  reason = f" ({found.reason})" if found.reason else ""
  return (
    f"* {test.metric} of {test.arm} over {test.over}: "
    f"{100 * found.gain:+.1f}{spread} %, the paper's is {paper}: "
    f"**{found.label}**{reason}"
  )
