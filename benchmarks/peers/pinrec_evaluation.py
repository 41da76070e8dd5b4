"""This package's SASRec: an evaluation.

  python -m peers.pinrec_evaluation --users=6040 --lengths=full

A turn does the work of --mode=evaluate, from the log to the metrics: test
users, item vectors, index, lists, recall and NDCG.
"""

from collections.abc import Iterable

import numpy as np
from peers import pinrec_training, turns, work

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, schema, statistics
from pinrec_jax.evals import metrics, retrieve
from pinrec_jax.inference import bundle, engine
from pinrec_jax.model import pinrec
from pinrec_jax.training import optimizer
from pinrec_jax.training import state as state_lib
from pinrec_jax.types import UserSums

SHORT, LONG, BATCH = 10, 200, 256


def main() -> None:
  """Takes turns; each evaluates all users."""
  config = config_lib.replace(
    pinrec_training.configured(work.UNITS["T1"]),
    **{"index.kind": "exact", "index.filter_seen": "engagements"},
  )
  rows, kept = work.evaluation()
  events = [row[own] for row, own in zip(rows, kept, strict=True)]
  dataset = log(events, work.ITEMS)
  model = pinrec.of_config(config, dataset.vocabulary)
  params = state_lib.create(model, optimizer.build(config.train)).params

  def turn() -> dict[str, float]:
    cases = evaluation_cases.cases(dataset, "test")
    retriever = engine.Retriever(
      bundle.create(
        config_lib.inference(config),
        params,
        dataset.catalog,
        statistics.outcome_fractions(dataset),
      )
    )
    lists = retrieve.retrieve(
      retriever,
      cases,
      retriever.reader.defaults().ask,
      size=LONG,
      batch_size=BATCH,
      quiet=True,
    ).items
    targets = metrics.targets(cases)
    ndcg = metrics.ndcg(lists, targets, SHORT)
    return {
      f"recall@{k}": metrics.recall(metrics.found(lists, targets, k))
      for k in (SHORT, LONG)
    } | {f"ndcg@{SHORT}": UserSums.of_mean(ndcg).ratio()}

  turns.take(lambda: print(turn()))


def log(rows: Iterable[np.ndarray], items: int) -> dataset_lib.Dataset:
  """Returns a log of clicks on items 1 to `items`, one user per row."""
  events = []
  for item in rows:
    zero, one = np.zeros(len(item), np.int32), np.ones(len(item), bool)
    events.append(
      schema.Events(
        item=item,
        actions=one[:, None].astype(np.uint8),
        surface=zero,
        item_type=zero,
        time=1 + np.arange(len(item)),
        session=zero + schema.UNKNOWN_SESSION,
        engaged=one,
        context=~one,
      )
    )
  users = tuple(map(str, range(len(events))))
  catalog = pinrec_training.catalog(items)
  return dataset_lib.Dataset("random", catalog, users, events)


if __name__ == "__main__":
  main()
