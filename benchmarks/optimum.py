"""Recall in the synthetic world, compared with the optimum.

  python benchmarks/optimum.py --workdir=runs/synthetic-seeds --seeds=3 \
    --output=results/synthetic.json [--config.FIELD=VALUE ...]

The synthetic world knows the probability of every item, so the best lists are
known. Seeds without a report in the work folder are trained. All further flags
go to pinrec_jax.main.
"""

import argparse
import pathlib
from collections.abc import Sequence

import numpy as np
import record
import repeats
from jaxtyping import Int

from pinrec_jax import config_files, opening, workflows
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, synthetic
from pinrec_jax.decode import budget
from pinrec_jax.evals import metrics, popularity, retrieve

CONFIG, K = "configs/synthetic.py", 10


def main() -> None:
  """Trains missing seeds, then measures, writes and prints."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options, rest = parser.parse_known_args()
  folders = repeats.of_seeds(CONFIG, options.workdir, options.seeds, rest)
  figures = repeats.summary([measure(folder) for folder in folders])
  record.write(options.output, rest, figures=figures)
  for key, found in figures.items():
    print(f"{key}: recall@{K} {found['mean']:.4f} ± {found['std']:.4f}")


def measure(workdir: pathlib.Path) -> dict[str, float]:
  """Returns recall of the model, the optimum and popularity.

  Returns:
    recall@10 by the list, the requested outcome and the outcome of the targets.
  """
  config = config_files.read_config(CONFIG)
  config, dataset = opening.load(config)
  retriever = workflows.retriever(config, workdir, dataset)
  cases = evaluation_cases.cases(dataset, "test")
  popular = popularity.of_all(
    dataset, cases, split="test", size=K, filter_seen=config.index.filter_seen
  )
  figures, targets = {}, metrics.targets(cases)
  subsets = {"any": np.ones(len(targets.item), bool)}
  for n, name in enumerate(retriever.outcomes):
    subsets[name] = targets.actions[:, n]
  for requested in (budget.UNSPECIFIED, *retriever.outcomes):
    lists = {
      "model": retrieve.retrieve(
        retriever,
        cases,
        retriever.reader.defaults(budget={requested: 1.0}).ask,
        size=K,
        batch_size=config.evals.batch_size,
        quiet=True,
      ).items,
      "optimum": optimum(dataset, cases, requested),
      "popularity": popular,
    }
    for source, items in lists.items():
      hits = metrics.found(items, targets, K)
      for name, subset in subsets.items():
        key = f"{source}/requested {requested}/targets {name}"
        figures[key] = metrics.recall(hits, subset)
  return figures


def optimum(
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
  requested: str,
) -> Int[np.ndarray, "b k"]:
  """Returns the most probable next items of every user, as item rows."""
  world = synthetic.world()
  outcome = None
  if requested != budget.UNSPECIFIED:
    outcome = dataset.vocabulary.outcome(requested)
  row_of = dataset.catalog.row_of
  best = []  # The items after each topic.
  for topic in range(len(world.moves)):
    order = np.argsort(-world.chances(topic, outcome), kind="stable")[:K]
    best.append([row_of[str(item)] for item in order])
  last = [case.past.item[case.past.engaged][-1] for case in cases]
  return np.array(best)[world.topic[dataset.items.ids[np.array(last)]]]


if __name__ == "__main__":
  main()
