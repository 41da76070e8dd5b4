"""What a prepared log holds, in figures."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pinrec_jax.data import counts as counts_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import histories, schema
from pinrec_jax.types import Number

PERCENTILES = (5, 25, 50, 75, 95)


class Profile(NamedTuple):
  """Flat figures, and the values behind those of a spread."""

  figures: dict[str, Number]
  # "length", engagements a user; "gap", seconds between two of them;
  # "session", engagements with no longer gap between.
  spreads: Mapping[str, counts_lib.Counts]


def of_dataset(dataset: dataset_lib.Dataset, session_gap: int) -> Profile:
  """Returns what there is of users, items, events, actions and surfaces.

  Args:
    dataset: the log.
    session_gap: seconds without an engagement that end a session.
  """
  vocabulary = dataset.vocabulary
  actions = np.zeros(len(vocabulary.actions), int)
  surfaces = np.zeros(len(vocabulary.surfaces), int)
  events = engaged = context = undated = unlisted = single = 0
  spreads = {n: counts_lib.Counts() for n in ("length", "gap", "session")}
  for user in dataset.events:
    actions += user.actions.sum(0, dtype=int)
    surfaces += np.bincount(user.surface, minlength=len(surfaces))
    events += len(user)
    engaged += int(user.engaged.sum())
    context += int(user.context.sum())
    undated += int((user.time == schema.UNKNOWN_TIME).sum())
    unlisted += int((~dataset.items.candidate[user.item]).sum())
    acted = user.where(user.engaged)
    dated = acted.where(acted.time != schema.UNKNOWN_TIME)
    single += len(acted) == 1
    if len(acted):
      spreads["length"].add(np.array([len(acted)]))
    if len(dated):
      spreads["gap"].add(np.diff(dated.time))
      number = histories.sessions(dated, session_gap)
      spreads["session"].add(np.unique(number, return_counts=True)[1])
  report: dict[str, Number] = {
    "users": len(dataset.users),
    "users/engaged": spreads["length"].total,
    "users/one_engagement": single,
    "items": len(dataset.items.ids) - 1,
    "items/candidates": int(dataset.items.candidate.sum()),
    "events": events,
    "events/engagements": engaged,
    "events/shown_only": events - engaged - context,
    "events/context": context,
    "events/undated": undated,
    "events/of_items_that_are_no_candidates": unlisted,
  }
  for name, count in zip(vocabulary.actions, actions, strict=True):
    report[f"actions/{name}"] = int(count)
  for name, count in zip(vocabulary.surfaces, surfaces, strict=True):
    report[f"surfaces/{name}"] = int(count)
  for name, spread in spreads.items():
    report[f"{name}/count"] = spread.total
    if spread.total:
      report[f"{name}/mean"] = spread.mean
      found = spread.percentiles(PERCENTILES)
      for percent, value in zip(PERCENTILES, found, strict=True):
        report[f"{name}/p{percent}"] = float(value)
  return Profile(report, spreads)
