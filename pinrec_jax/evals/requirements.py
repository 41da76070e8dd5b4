"""Checks of a configuration against a log, before any training."""

from collections.abc import Sequence

import numpy as np

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, statistics
from pinrec_jax.decode import budget as budget_lib


def check_names(
  config: config_lib.Config, dataset: dataset_lib.Dataset
) -> None:
  """Raises ValueError for an outcome, surface or type that the log lacks."""
  names, decode = dataset.vocabulary, config.decode
  if decode.budget:
    budget_lib.parse(decode.budget, names)
  if decode.surface:
    names.surface(decode.surface)
  if decode.item_type:
    names.item_type(decode.item_type)
  for name in config.evals.sweep:
    names.outcome(name)
  if not dataset.items.candidate.any():
    raise ValueError(f"{config.data.name} has no item that can be recommended")


def check_twin_steps(
  config: config_lib.Config, dataset: dataset_lib.Dataset
) -> None:
  """Raises ValueError if the twin would need more steps than fit.

  The twin generates the same number of vectors, one per step.
  """
  decode, names = config.decode, dataset.vocabulary
  if decode.budget:
    budget = budget_lib.parse(decode.budget, names)
  else:
    budget = budget_lib.from_fractions(statistics.outcome_fractions(dataset))
  outcomes = sum(share > 0 for share in budget)
  vectors = outcomes * max(len(decode.offsets), 1) * decode.steps
  if vectors >= config.data.sequence_length:
    raise ValueError(
      f"config.evals.twin is True: the twin would take {vectors} steps, one "
      f"per vector, and data.sequence_length is {config.data.sequence_length}; "
      "use False, or generate fewer vectors with decode.budget, decode.offsets "
      "and decode.steps"
    )


def shortest_list(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
) -> tuple[str, int] | None:
  """Returns the user with the fewest items left to recommend, and their number.

  It returns None if that number reaches the largest cutoff.
  """
  candidates = int(dataset.items.candidate.sum())
  left = [
    candidates - int(dataset.items.candidate[np.unique(seen)].sum())
    for case in cases
    for seen in [case.past.seen(config.index.filter_seen)]
  ]
  least = int(np.argmin(left))
  if left[least] >= max(config.evals.cutoffs):
    return None
  return cases[least].user, left[least]
