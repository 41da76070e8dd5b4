"""Runs one configuration with several seeds and tabulates the spread.

  python benchmarks/seeds.py --config=configs/demo.py --workdir=runs/seeds \
    --seeds=3 --output=results/kuairand_mini.json [--config.FIELD=VALUE ...]

Seeds already reported in the work folder are not run again. Everything after
the options goes to pinrec_jax.main.
"""

import argparse
import pathlib

import record
import repeats

from pinrec_jax import markdown

SHOWN = (
  "recall@10", "ndcg@10", "recall@100", "unordered_recall@10", "vectors",
  "coverage", "diversity",
)  # fmt: skip
MODELS = {"": "model", "uc_": "its twin (UC)", "popularity_": "popularity"}


def main() -> None:
  """Runs what is missing, then writes and prints the table."""
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


def table(figures: dict[str, dict[str, float]]) -> str:
  """Returns mean ± standard deviation over seeds as a Markdown table."""
  there = [prefix for prefix in MODELS if f"{prefix}{SHOWN[0]}" in figures]
  rows = []
  for name in SHOWN:
    cells = [name]
    for prefix in there:
      found = figures.get(prefix + name)
      if found is None:
        cells.append("")
      elif found["spread"]:
        cells.append(f"{found['mean']:.4f} ± {found['spread']:.4f}")
      else:
        cells.append(f"{found['mean']:.4g}")
    rows.append(cells)
  return markdown.table(["", *(MODELS[prefix] for prefix in there)], rows)


def sweep_table(figures: dict[str, dict[str, float]]) -> str:
  """Returns what each budget of the sweep retrieved, in per cent."""
  first = "sweep/0/budget/"
  names = [key[len(first) :] for key in figures if key.startswith(first)]
  rows, point = [], 0
  while f"sweep/{point}/recall" in figures:
    row = {
      key.removeprefix(f"sweep/{point}/"): value
      for key, value in figures.items()
      if key.startswith(f"sweep/{point}/")
    }
    spent = [
      f"{100 * row[f'budget/{name}']['mean']:.0f} % {name}"
      for name in names
      if row[f"budget/{name}"]["mean"]
    ]
    rates = [
      f"{100 * rate['mean']:.3f} ± {100 * rate['spread']:.3f}"
      for rate in (row[f"rate/{name}"] for name in names)
    ]
    rows.append([", ".join(spent), *rates])
    point += 1
  head = ["budget", *(f"acted on: {name}" for name in names)]
  return markdown.table(head, rows)


if __name__ == "__main__":
  main()
