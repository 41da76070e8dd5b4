"""Runs one configuration with several seeds and tabulates the figures.

  python benchmarks/seeds.py --config=configs/demo.py --workdir=runs/seeds \
    --seeds=3 --output=results/kuairand_mini.json [--config.FIELD=VALUE ...]

Seeds with a report in the work folder do not run again. All further flags go
to pinrec_jax.main.
"""

import argparse
import pathlib
from collections.abc import Mapping
from typing import Any

import record
import repeats

from pinrec_jax import markdown

SHOWN = (
  "recall@10",
  "ndcg@10",
  "recall@100",
  "unordered_recall@10",
  "vectors",
  "coverage",
  "diversity",
)
MODELS = {
  "": "model",
  "uc_": "unconditioned twin (UC)",
  "oracle_time_": "oracle time",
  "popularity_": "popularity",
  "recent_popularity_": "recent popularity",
  "last_items_": "last items",
  "co_occurrence_": "co-occurrence",
}


def main() -> None:
  """Runs missing seeds, then writes and prints the tables."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--config", required=True)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options, rest = parser.parse_known_args()
  reports = repeats.of_seeds(
    options.config, options.workdir, options.seeds, rest
  )
  figures = repeats.summary(list(reports.values()))
  command = ["--config=" + options.config, *rest]
  record.write(options.output, command, figures=figures)
  print(table(figures))
  print(sweep_table(figures))


def table(figures: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns mean ± standard deviation over seeds as a Markdown table."""
  present = [prefix for prefix in MODELS if f"{prefix}{SHOWN[0]}" in figures]
  rows = []
  for name in SHOWN:
    cells = [name]
    for prefix in present:
      found = figures.get(prefix + name)
      if found is None:
        cells.append("")
      elif found["std"]:
        cells.append(f"{found['mean']:.4f} ± {found['std']:.4f}")
      else:
        cells.append(f"{found['mean']:.4g}")
    rows.append(cells)
  return markdown.table(["", *(MODELS[prefix] for prefix in present)], rows)


def sweep_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns how often users act on the candidates of each budget."""
  first = "sweep/0/budget/"
  names = [key[len(first) :] for key in figures if key.startswith(first)]
  rows, point = [], 0
  while f"sweep/{point}/recall" in figures:
    budget, rate = (
      [figures[f"sweep/{point}/{kind}/{name}"] for name in names]
      for kind in ("budget", "rate")
    )
    spent = [
      f"{100 * own['mean']:.0f} % {name}"
      for name, own in zip(names, budget, strict=True)
      if own["mean"]
    ]
    rates = [
      f"{100 * own['mean']:.3f} ± {100 * own['std']:.3f}" for own in rate
    ]
    rows.append([", ".join(spent), *rates])
    point += 1
  return markdown.table(["budget", *(f"{n}, % acted on" for n in names)], rows)


if __name__ == "__main__":
  main()
