"""Baselines that every result is compared with."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, statistics
from pinrec_jax.evals import evaluate


def popularity(
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
  *,
  split: str,
  size: int,
  filter_seen: str,
) -> Int[np.ndarray, "b c"]:
  """Returns the items with the most engagements before the cut.

  In a log that is split by time, only engagements with a time count. Of equal
  counts, the lower row comes first.

  Args:
    dataset: the log.
    cases: the users.
    split: the period whose start is the cut.
    size: length of a list.
    filter_seen: items to leave out, as in `config.Index.filter_seen`.

  Returns:
    Rows of the item table; -1 where a list is shorter.
  """
  seen = [case.past.seen(filter_seen) for case in cases]
  ranked = statistics.most_popular(dataset, split)
  ranked = ranked[: size + max(map(len, seen), default=0)]
  lists = np.full((len(cases), size), -1, np.int32)
  for row, own in enumerate(seen):
    kept = ranked[~np.isin(ranked, own)][:size]
    lists[row, : len(kept)] = kept
  return lists


def figures(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
  groups: evaluate.Groups,
) -> evaluate.Figures:
  """Returns the figures of popularity on the test users."""
  cutoffs = config.evals.cutoffs
  lists = popularity(
    dataset,
    cases,
    split="test",
    size=max(cutoffs),
    filter_seen=config.index.filter_seen,
  )
  outcomes = dataset.vocabulary.outcome_names
  return evaluate.of_lists(lists, cases, outcomes, cutoffs, groups)
