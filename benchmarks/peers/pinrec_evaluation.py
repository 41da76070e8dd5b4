"""This project's SASRec: an evaluation.

  python pinrec_evaluation.py --users=6040

A turn is what the evaluation mode does, from the log to the metrics: the users
at the cut, the catalogue's vectors and its index, lists, recall and NDCG.
"""

import argparse

import numpy as np
import pinrec_training
import turns
import work

from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import schema, splits
from pinrec_jax.evals import metrics
from pinrec_jax.evals import run as evals_run
from pinrec_jax.model import pinrec
from pinrec_jax.serve import retriever as retriever_lib
from pinrec_jax.training import state as state_lib

SHORT, LONG, AT_ONCE = 10, 200, 256


def main() -> None:
  """Takes turns of all users each."""
  parser = argparse.ArgumentParser()
  parser.add_argument("--users", type=int, default=6040)
  options = parser.parse_args()
  config = pinrec_training.configured(work.UNITS["T1"])
  config.index.kind = "exact"
  config.evals.batch, config.evals.cutoffs = AT_ONCE, (SHORT, LONG)
  dataset = log(work.histories(options.users), work.ITEMS)
  model = pinrec.of_config(config, dataset.vocabulary)
  transform = state_lib.optimizer(config.train)
  params = state_lib.create(model, transform, config.loss).params

  def turn() -> dict[str, float]:
    cases = splits.cases(dataset, "test")
    retriever = retriever_lib.of_dataset(config, model, params, dataset)
    lists = evals_run.retrieve(
      retriever, cases, size=LONG, budget=retriever.budget(), quiet=True
    ).items
    targets = metrics.targets(cases)
    return {
      f"recall@{k}": metrics.recall(metrics.found(lists, targets, k), targets)
      for k in (SHORT, LONG)
    } | {f"ndcg@{SHORT}": metrics.ndcg(lists, targets, SHORT)}

  turns.take(lambda: print(turn()))


def log(rows: np.ndarray, items: int) -> dataset_lib.Dataset:
  """Returns a log of clicks, a user a row, whose items are 1 to `items`."""
  length = rows.shape[1]
  zero, one = np.zeros(length, np.int32), np.ones(length, bool)
  events = [
    schema.Events(
      row, one[:, None].astype(np.uint8), zero, zero, 1 + np.arange(length),
      zero + schema.UNKNOWN_SESSION, one, ~one,
    )
    for row in rows
  ]  # fmt: skip
  users = tuple(map(str, range(len(rows))))
  return dataset_lib.Dataset(
    "made up", pinrec_training.catalogue(items), users, events
  )


if __name__ == "__main__":
  main()
