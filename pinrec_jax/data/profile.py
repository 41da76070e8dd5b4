"""What a prepared log holds, in figures."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import histories, schema
from pinrec_jax.types import Number

PERCENTILES = (5, 25, 50, 75, 95)


class Profile(NamedTuple):
  """Flat figures, and the values behind those of a spread."""

  figures: dict[str, Number]
  # "length", engagements a user; "gap", seconds between two of them;
  # "session", engagements with no longer gap between.
  spreads: Mapping[str, Int[np.ndarray, "_"]]


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
  lengths, gaps, sessions = [], [], []
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
      lengths.append(len(acted))
    if len(dated):
      gaps.append(np.diff(dated.time))
      number = histories.sessions(dated, session_gap)
      sessions.append(np.bincount(number))
  report: dict[str, Number] = {
    "users": len(dataset.users),
    "users/engaged": len(lengths),
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
  spreads = {
    "length": np.array(lengths, int),
    "gap": _joined(gaps),
    "session": _joined(sessions),
  }
  for name, values in spreads.items():
    report[f"{name}/count"] = len(values)
    if len(values):
      report[f"{name}/mean"] = float(values.mean())
      found = np.percentile(values, PERCENTILES)
      for percent, value in zip(PERCENTILES, found, strict=True):
        report[f"{name}/p{percent}"] = float(value)
  return Profile(report, spreads)


def _joined(parts: Sequence[Int[np.ndarray, "_"]]) -> Int[np.ndarray, "_"]:
  return np.concatenate([np.zeros(0, int), *parts]).astype(int)
