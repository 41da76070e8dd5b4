"""What a model retrieves in the made-up world, beside the best there is.

  python benchmarks/optimum.py --workdir=runs/synthetic --seeds=3 \
    --output=results/synthetic.json [--config.FIELD=VALUE ...]

Trains the seeds that have no report in the work folder. Everything after the
options goes to pinrec_jax.main.
"""

import argparse
import pathlib
import runpy
from collections.abc import Sequence

import numpy as np
import record
import repeats
from jaxtyping import Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, synthetic
from pinrec_jax.evals import metrics, retrieval
from pinrec_jax.serve import retriever as retriever_lib
from pinrec_jax.training import loop

CONFIG, K = "configs/synthetic.py", 10


def main() -> None:
  """Trains if need be, then measures, writes and prints."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options, rest = parser.parse_known_args()
  folders = repeats.of_seeds(CONFIG, options.workdir, options.seeds, rest)
  figures = repeats.summary([measure(folder) for folder in folders])
  record.write(options.output, rest, figures=figures)
  for key, found in figures.items():
    print(f"{key}: recall@{K} {found['mean']:.4f} ± {found['spread']:.4f}")


def measure(workdir: pathlib.Path) -> dict[str, float]:
  """Returns recall of model, optimum and popularity, by what is asked for."""
  config = runpy.run_path(CONFIG)["get_config"]()
  dataset = dataset_lib.load(config.data)
  trained = loop.best(config, dataset.catalog, workdir)
  retriever = retriever_lib.of_dataset(
    config, trained.model, trained.params, dataset
  )
  cases = evaluation_cases.cases(dataset, "test")
  popular = retrieval.popularity(
    dataset, cases, split="test", size=K, drop_seen="nothing"
  )
  outcomes = dict(enumerate(dataset.vocabulary.outcome_names))
  figures, targets = {}, metrics.targets(cases)
  for asked, name in [(None, "unspecified"), *outcomes.items()]:
    found = retrieval.retrieve(
      retriever, cases, size=K, budget={name: 1.0}, quiet=True
    )
    lists = {
      "model": found.items,
      "optimum": optimum(dataset, cases, config.data.synthetic, asked),
      "popularity": popular,
    }
    for told, items in lists.items():
      hits = metrics.found(items, targets, K)
      for outcome, of in [(None, "any"), *outcomes.items()]:
        key = f"{told}/asked {name}/of {of}"
        figures[key] = metrics.recall(hits, targets, outcome)
  return figures


def optimum(
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
  made: config_lib.Synthetic,
  asked: int | None,
) -> Int[np.ndarray, "b k"]:
  """Returns the items most likely to come next in each user's place."""
  world = synthetic.world(made)
  ids = dataset.items.ids
  last = [case.past.item[case.past.engaged][-1] for case in cases]
  row_of = dataset.catalog.row_of
  best = []  # of each topic
  for topic in range(made.topics):
    ranked = np.argsort(-world.chances(topic, asked), kind="stable")[:K]
    best.append([row_of[str(item)] for item in ranked])
  return np.array(best)[world.topic[ids[np.array(last)]]]


if __name__ == "__main__":
  main()
