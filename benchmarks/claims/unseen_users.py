"""Unseen users: a part of the users that training leaves out."""

import dataclasses

import numpy as np

from pinrec_jax import reports
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.evals import evaluate
from pinrec_jax.types import UserSums

FRACTION = 0.25
SUFFIX = "/unseen_users"  # Of figures of these users alone.


def of_log(dataset: dataset_lib.Dataset) -> set[str]:
  """Returns the ids of the users; they are the same in every run."""
  chosen = np.random.default_rng(0).random(len(dataset.users)) < FRACTION
  return {user for user, own in zip(dataset.users, chosen, strict=True) if own}


def without(dataset: dataset_lib.Dataset) -> dataset_lib.Dataset:
  """Returns the log without these users, to train on."""
  left_out = of_log(dataset)
  kept = [n for n, user in enumerate(dataset.users) if user not in left_out]
  return dataclasses.replace(
    dataset,
    users=tuple(dataset.users[n] for n in kept),
    events=[dataset.events[n] for n in kept],
  )


def measured(
  dataset: dataset_lib.Dataset, report: reports.EvaluateReport
) -> evaluate.Measured:
  """Returns recall@k/unseen_users of a model, trained on them or not."""
  wanted = of_log(dataset)
  own = np.array([user in wanted for user in report.user_ids])
  sums = {
    f"{name}{SUFFIX}": UserSums(*(column * own for column in columns))
    for name, columns in report.user_sums.items()
    if name.startswith("recall@") and "/" not in name
  }
  return evaluate.Measured(
    {name: columns.ratio() for name, columns in sums.items()}, sums
  )
