"""This project's SASRec: an evaluation.

  python pinrec_evaluation.py --users=6040 --lengths=full

A turn is what the evaluation mode does, from the log to the metrics: the users
at the cut, the catalog's vectors and its index, lists, recall and NDCG.
"""

from collections.abc import Iterable

import numpy as np
import pinrec_training
import turns
import work

from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, schema
from pinrec_jax.evals import metrics, retrieval
from pinrec_jax.model import pinrec
from pinrec_jax.serve import retriever as retriever_lib
from pinrec_jax.training import optimizer
from pinrec_jax.training import state as state_lib

SHORT, LONG, AT_ONCE = 10, 200, 256


def main() -> None:
  """Takes turns of all users each."""
  config = pinrec_training.configured(work.UNITS["T1"])
  config.index.kind = "exact"
  config.evals.batch_size, config.evals.cutoffs = AT_ONCE, (SHORT, LONG)
  rows, kept = work.evaluation()
  there = [row[own] for row, own in zip(rows, kept, strict=True)]
  dataset = log(there, work.ITEMS)
  model = pinrec.of_config(config, dataset.vocabulary)
  transform = optimizer.build(config.train)
  params = state_lib.create(model, transform).params

  def turn() -> dict[str, float]:
    cases = evaluation_cases.cases(dataset, "test")
    retriever = retriever_lib.of_dataset(config, model, params, dataset)
    lists = retrieval.retrieve(
      retriever, cases, size=LONG, budget=retriever.budget(), quiet=True
    ).items
    targets = metrics.targets(cases)
    return {
      f"recall@{k}": metrics.recall(metrics.found(lists, targets, k), targets)
      for k in (SHORT, LONG)
    } | {f"ndcg@{SHORT}": metrics.ndcg(lists, targets, SHORT)}

  turns.take(lambda: print(turn()))


def log(rows: Iterable[np.ndarray], items: int) -> dataset_lib.Dataset:
  """Returns a log of clicks, a user a row, whose items are 1 to `items`."""
  events = []
  for item in rows:
    zero, one = np.zeros(len(item), np.int32), np.ones(len(item), bool)
    events.append(
      schema.Events(
        item, one[:, None].astype(np.uint8), zero, zero,
        1 + np.arange(len(item)), zero + schema.UNKNOWN_SESSION, one, ~one,
      )
    )  # fmt: skip
  users = tuple(map(str, range(len(events))))
  return dataset_lib.Dataset(
    "made up", pinrec_training.catalog(items), users, events
  )


if __name__ == "__main__":
  main()
