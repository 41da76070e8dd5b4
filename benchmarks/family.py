"""Trains every model of the family on one log and tabulates the figures.

  python benchmarks/family.py --log=pure --source=FOLDER \
    --workdir=runs/family --output=results/family_pure.json

Models with a report in the work folder do not run again, so the command may be
stopped and given again. All further flags go to pinrec_jax.main.
"""

import argparse
import json
import math
import pathlib
import runpy
from collections.abc import Mapping
from typing import Any

import record
import repeats

from pinrec_jax import markdown

CONFIG = "configs/family.py"
SHOWN = ("loss", "recall@10", "ndcg@10", "unordered_recall@10", "vectors")


def main() -> None:
  """Runs missing models, then writes and prints the table."""
  family = runpy.run_path(CONFIG)
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--log", choices=list(family["LOGS"]), required=True)
  parser.add_argument("--models", nargs="+", default=list(family["MODELS"]))
  parser.add_argument("--source", default="")
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options, rest = parser.parse_known_args()
  figures = {}
  for model in options.models:
    folder = options.workdir / options.log / model
    figures[model] = repeats.report(
      f"{CONFIG}:{options.log}/{model}",
      folder,
      [f"--config.data.source={options.source}", *rest],
    )
    figures[model]["loss"] = last_loss(folder)
  record.write(options.output, [f"--log={options.log}", *rest], models=figures)
  print(table(figures))


def last_loss(folder: pathlib.Path) -> float:
  """Returns the last training loss that a run logged; NaN if it logged none."""
  lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
  losses = [row["loss"] for row in map(json.loads, lines) if "loss" in row]
  return losses[-1] if losses else math.nan


def table(figures: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns one line per model, popularity last, as a Markdown table."""
  rows = [
    [model, *(f"{own[name]:.4g}" for name in SHOWN)]
    for model, own in figures.items()
  ]
  any_model = next(iter(figures.values()))
  popular = [any_model.get(f"popularity_{name}") for name in SHOWN]
  cells = ["" if value is None else f"{value:.4g}" for value in popular]
  return markdown.table(["", *SHOWN], [*rows, ["popularity", *cells]])


if __name__ == "__main__":
  main()
