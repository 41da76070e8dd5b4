"""Cold items: a log of which training sees only a part of the catalog."""

import dataclasses
import itertools
import pathlib
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Real

from pinrec_jax import config as config_lib
from pinrec_jax import workflows
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, schema, splits
from pinrec_jax.evals import evaluate
from pinrec_jax.inference import engine
from pinrec_jax.types import UserSums


class Split(NamedTuple):
  """A log with cold items.

  Attributes:
    training: the log without the cold items, to train on.
    evaluation: the whole catalog. Cold items have no events before the test.
    cold: which items are cold, by row of the whole catalog.
  """

  training: dataset_lib.Dataset
  evaluation: dataset_lib.Dataset
  cold: Bool[np.ndarray, "v"]


def split(dataset: dataset_lib.Dataset, fraction: float) -> Split:
  """Makes a fraction of the items cold.

  The same items are cold in every run, and a larger fraction adds to them.
  """
  items = dataset.items
  cold = np.random.default_rng(0).random(len(items.ids)) < fraction
  cold[schema.NO_ITEM] = False
  events = [_without(dataset.vocabulary, own, cold) for own in dataset.events]
  evaluation = dataclasses.replace(dataset, events=events)
  # Training reads no event of the test. Cold items there become NO_ITEM, so
  # that the splits of training and evaluation are the same.
  row = np.where(cold, schema.NO_ITEM, np.cumsum(~cold) - 1).astype(np.int32)
  catalog = dataclasses.replace(
    dataset.catalog,
    items=schema.Items(*(column[~cold] for column in items)),
  )
  training = dataclasses.replace(
    evaluation,
    catalog=catalog,
    events=[dataclasses.replace(own, item=row[own.item]) for own in events],
  )
  return Split(training, evaluation, cold)


def _without(
  vocabulary: schema.Vocabulary,
  events: schema.Events,
  cold: Bool[np.ndarray, "v"],
) -> schema.Events:
  """Returns a user's events without cold items before the test.

  If too few engagements are left to hold one out, the user is trained on only
  and loses all events with cold items.
  """
  tested = np.arange(len(events)) >= splits.before(vocabulary, events, "test")
  warm = ~cold[events.item]
  kept = events.where(tested | warm)
  if splits.before(vocabulary, kept, "test") > np.count_nonzero(warm & ~tested):
    return events.where(warm & ~tested)
  return kept


def only(
  dataset: dataset_lib.Dataset, cold: Bool[np.ndarray, "v"]
) -> dataset_lib.Dataset:
  """Returns the log with the cold items as its only candidates."""
  items = dataset.items
  candidate = items.candidate & cold
  catalog = dataclasses.replace(
    dataset.catalog, items=items._replace(candidate=candidate)
  )
  return dataclasses.replace(dataset, catalog=catalog)


def measure(
  config: config_lib.Config,
  workdir: pathlib.Path,
  parts: Split,
  found: engine.Retriever,
) -> evaluate.Measured:
  """Returns recall of cold targets, in full lists and in lists of cold items.

  Args:
    config: of the evaluation.
    workdir: of the trained run.
    parts: the log.
    found: the run's retriever over the whole catalog.

  Returns:
    recall@k/cold_items and recall@k/cold_only, with the sums of all test users;
    and cold_candidates.
  """
  cases = evaluation_cases.cases(parts.evaluation, "test")
  aimed = np.array([parts.cold[case.targets.item].any() for case in cases])
  candidates = only(parts.evaluation, parts.cold)
  cutoffs = config.evals.cutoffs
  figures: evaluate.Figures = {
    "cold_candidates": int(candidates.items.candidate.sum())
  }
  sums: evaluate.Sums = {}
  if not aimed.any():
    names = [f"recall@{k}/cold_{n}" for k in cutoffs for n in ("items", "only")]
    return evaluate.Measured(figures | dict.fromkeys(names, np.nan), sums)
  some = list(itertools.compress(cases, aimed))
  alone = workflows.retriever(config, workdir, candidates)
  for retriever, name in ((found, "cold_items"), (alone, "cold_only")):
    own = evaluate.evaluate(
      retriever, some, config.evals, groups={"cold": parts.cold}, quiet=True
    )
    for k in cutoffs:
      figures[f"recall@{k}/{name}"] = own.figures[f"recall@{k}/cold_items"]
      columns = own.sums[f"recall@{k}/cold_items"]
      sums[f"recall@{k}/{name}"] = UserSums(
        *(_of_all(aimed, c) for c in columns)
      )
  return evaluate.Measured(figures, sums)


def _of_all(
  aimed: Bool[np.ndarray, "b"], values: Real[np.ndarray, "a"]
) -> Real[np.ndarray, "b"]:
  """Returns the values of all users: 0 for those without a cold target."""
  whole = np.zeros(len(aimed), values.dtype)
  whole[aimed] = values
  return whole
