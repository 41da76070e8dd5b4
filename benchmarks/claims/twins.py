"""Gains of runs over their unconditioned twins, over users and seeds.

  python benchmarks/claims/twins.py --workdir=runs/pure --seeds=5 \
    --output=results/kuairand_pure_gains.json

WORKDIR is that of benchmarks/seeds.py: it has one run per seed, with its twin.
Each of them is evaluated again on the test users, with exact search. The
intervals are those of intervals.py. `--filter_seen=exposures` leaves out what
users were shown, too. `--budget=unspecified:1` asks the runs for no outcome, so
that the other conditions alone make the gain. `--against=unspecified:1`
compares the runs with themselves, asked for no outcome, in place of their
twins.
"""

import argparse
import pathlib
import statistics
import sys
import typing

import intervals
import suite
import verdict

from pinrec_jax import config as config_lib
from pinrec_jax import config_files, files, markdown, opening, twin, workflows
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases
from pinrec_jax.evals import evaluate
from pinrec_jax.training import runs

ARM, BASELINE = "run", "twin"
FILTERS = typing.get_args(
  typing.get_type_hints(config_lib.Index)["filter_seen"]
)


def main(arguments: list[str]) -> None:
  """Evaluates the runs, and writes and prints their gains."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--filter_seen", choices=FILTERS, default="engagements")
  parser.add_argument("--budget", default="", help="of the runs, not twins")
  parser.add_argument("--against", default="", help="budget, without twins")
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args(arguments)
  fields = {"index.filter_seen": options.filter_seen, "index.kind": "exact"}
  if options.budget:
    fields["decode.budget"] = options.budget
  try:
    folders = [options.workdir / f"seed{n}" for n in range(options.seeds)]
    found = gains(folders, fields, options.against)
  except (OSError, ValueError) as error:
    sys.exit(f"error: {error}")
  content = {"seeds": options.seeds, "fields": fields}
  content |= {"against": options.against or BASELINE, "gains": found}
  files.write_json(options.output, content)
  print(table(found))


def gains(
  folders: list[pathlib.Path], fields: dict[str, str], against: str = ""
) -> dict[str, dict[str, object]]:
  """Returns the figures of runs and twins, and the gain, by metric.

  Args:
    folders: work folders of the runs, one per seed.
    fields: of the configuration, in which this evaluation differs.
    against: budget of the runs that are compared with; empty takes the twins.

  Raises:
    FileNotFoundError, ValueError: if a run or its twin is not there or is not
      finished.
  """
  paths: dict[str, list[pathlib.Path]] = {ARM: [], BASELINE: []}
  figures: dict[str, list[evaluate.Figures]] = {ARM: [], BASELINE: []}
  for folder in folders:
    config, dataset = _opened(folder, fields)
    other, place = twin.of_config(config), folder / twin.FOLDER
    if against:
      changes = {"decode.budget": against}
      other, place = config_lib.replace(config, **changes), folder
    for arm, own, part in (
      (ARM, config, folder),
      (BASELINE, other, place),
    ):
      measured, users = _evaluated(own, part, dataset)
      figures[arm].append(measured.figures)
      paths[arm].append(part / f"users_{arm}.npz")
      intervals.save(paths[arm][-1], users, measured.sums)
  metrics = [f"recall@{k}" for k in (10, 100)] + ["ndcg@10"]
  boots = intervals.of_row(
    paths, [suite.Test(ARM, BASELINE, metric) for metric in metrics]
  )
  comparisons = [
    verdict.Comparison(
      [float(own[metric]) for own in figures[ARM]],
      [float(own[metric]) for own in figures[BASELINE]],
      bootstrap=boot,
    )
    for metric, boot in zip(metrics, boots, strict=True)
  ]
  return {
    metric: {
      ARM: comparison.arm,
      BASELINE: comparison.baseline,
      "gain": own.gain,
      "low": own.low,
      "high": own.high,
      "over": own.over,
    }
    for metric, comparison, own in zip(
      metrics, comparisons, verdict.judge(comparisons), strict=True
    )
  }


def _opened(
  folder: pathlib.Path, fields: dict[str, str]
) -> tuple[config_lib.Config, dataset_lib.Dataset]:
  """Returns the configuration of a run for this evaluation, and its log."""
  path = folder / runs.CONFIG
  text = path.read_text("utf-8")
  config = config_files.from_json(config_lib.Config, text, str(path))
  return opening.load(config_lib.replace(config, **fields))


def _evaluated(
  config: config_lib.Config,
  folder: pathlib.Path,
  dataset: dataset_lib.Dataset,
) -> tuple[evaluate.Measured, list[str]]:
  """Returns what a run finds for the test users, and their ids."""
  found = workflows.retriever(config, folder, dataset)
  cases = evaluation_cases.cases(dataset, "test")
  measured = evaluate.evaluate(
    found, cases, config.evals, groups={}, quiet=True
  )
  return measured, [case.user for case in cases]


def _spread(values: list[float]) -> float:
  """Returns the sample standard deviation over seeds; 0 for one seed."""
  return statistics.stdev(values) if len(values) > 1 else 0.0


def table(found: dict[str, dict[str, typing.Any]]) -> str:
  """Returns one line per metric as a Markdown table."""
  rows = []
  for metric, own in found.items():
    each = [
      f"{statistics.mean(own[arm]):.4f} ± {_spread(own[arm]):.4f}"
      for arm in (ARM, BASELINE)
    ]
    gain = f"{own['gain']:+.1%} ({own['low']:+.1%} to {own['high']:+.1%})"
    rows.append([metric, *each, gain])
  return markdown.table(["", ARM, BASELINE, "gain"], rows)


if __name__ == "__main__":
  main(sys.argv[1:])
