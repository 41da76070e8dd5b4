"""Trains every model of the family on one log and tabulates what they reach.

  python benchmarks/family.py --log=pure --source=FOLDER \
    --workdir=runs/family --output=results/family_pure.json

Models already reported in the work folder are not run again, so that it may
be stopped at any point. Everything after the options goes to pinrec_jax.main.
"""

import argparse
import json
import pathlib
import runpy

import record
import repeats

from pinrec_jax import markdown

CONFIG = "configs/family.py"
SHOWN = ("recall@10", "ndcg@10", "unordered_recall@10", "vectors")


def main() -> None:
  """Runs what is missing, then writes and prints the table."""
  known = runpy.run_path(CONFIG)
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--log", choices=list(known["LOGS"]), required=True)
  parser.add_argument("--models", nargs="+", default=list(known["MODELS"]))
  parser.add_argument("--source", default="")
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options, rest = parser.parse_known_args()
  reports = {}
  for model in options.models:
    folder = options.workdir / options.log / model
    report = repeats.report(
      f"{CONFIG}:{options.log}/{model}",
      folder,
      [f"--config.data.source={options.source}", *rest],
    )
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    report["loss"] = [
      row["loss"] for row in map(json.loads, lines) if "loss" in row
    ][-1]
    reports[model] = report
  record.write(options.output, rest, models=reports)
  print(table(reports))


def table(reports: dict[str, dict[str, float]]) -> str:
  """Returns a row a model, popularity last, as a Markdown table."""
  names = ("loss", *SHOWN)
  rows = [
    [model, *(f"{report[name]:.4g}" for name in names)]
    for model, report in reports.items()
  ]
  any_report = next(iter(reports.values()))
  cells = [
    f"{any_report[key]:.4g}" if key in any_report else ""
    for key in (f"popularity_{name}" for name in names)
  ]
  return markdown.table(["", *names], [*rows, ["popularity", *cells]])


if __name__ == "__main__":
  main()
