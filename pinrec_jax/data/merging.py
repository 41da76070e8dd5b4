"""Rows of a log that are one event.

Preparing a log and answering a request use the same rules, so that a history is
the same in both.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from pinrec_jax.data import schema

# Seconds after an impression in which an engagement with the item replaces it.
ANSWER = 1800


class Merged(NamedTuple):
  """Events, and how they came about.

  Attributes:
    events: the events, in the order of their first rows.
    row: first row of each event.
    copies: rows that were exact copies of an earlier one.
    joined: rows that became one event with an earlier row, with more actions.
    answered: impressions that an engagement replaced.
  """

  events: schema.Events
  row: Int[np.ndarray, "l"]
  copies: Int[np.ndarray, "_"]
  joined: Int[np.ndarray, "_"]
  answered: Int[np.ndarray, "_"]


def merge(
  rows: schema.Events, user: Int[np.ndarray, "l"] | None = None
) -> Merged:
  """Returns the events of rows.

  Rows with the same user, item, surface and time are one event with all their
  actions. An impression is left out if the user engages with the item on the
  same surface within `ANSWER` seconds. Rows without a time, and rows of items
  that the catalog does not have, stay as they are.

  Args:
    rows: sorted by user, then by time.
    user: number of the user of each row; by default all rows are of one user.
  """
  user = np.zeros(len(rows), np.int64) if user is None else user
  known = (rows.time != schema.UNKNOWN_TIME) & (rows.item != schema.NO_ITEM)
  # Rows of one item lie together, in the order of time.
  order = np.lexsort((rows.time, rows.surface, rows.item, user))
  order = order[known[order]]
  if len(order) < 2:
    none = np.zeros(0, np.int64)
    return Merged(rows, np.arange(len(rows)), none, none, none)
  thread = _same(order, user, rows.item, rows.surface)
  again = thread & _same(order, rows.time)
  starts = np.flatnonzero(~again)
  first = order[starts]  # The first row of each event.
  events = rows.where(slice(None))
  actions, engaged = events.actions.copy(), events.engaged.copy()
  actions[first] = np.maximum.reduceat(actions[order], starts)
  engaged[first] = np.logical_or.reduceat(engaged[order], starts)
  own = starts[np.cumsum(~again) - 1]  # Place of each row's first row.
  equal = (rows.actions[order] == rows.actions[order[own]]).all(1)
  copies, joined = order[again & equal], order[again & ~equal]
  answered = first[_answered(rows.time[first], engaged[first], thread[starts])]
  kept = np.ones(len(rows), bool)
  kept[[*copies, *joined, *answered]] = False
  row = np.flatnonzero(kept)
  events = schema.Events(
    **{**vars(events), "actions": actions, "engaged": engaged}
  ).where(row)
  return Merged(
    events, row, np.sort(copies), np.sort(joined), np.sort(answered)
  )


def concatenate(parts: Sequence[schema.Events]) -> schema.Events:
  """Returns the events of all parts, in order."""
  return schema.Events(
    **{
      name: np.concatenate([getattr(part, name) for part in parts])
      for name in vars(parts[0])
    }
  )


def _same(
  order: Int[np.ndarray, "r"], *columns: Int[np.ndarray, "l"]
) -> Bool[np.ndarray, "r"]:
  """Returns which rows equal the row before them in some columns."""
  same = np.ones(len(order), bool)
  same[0] = False
  for column in columns:
    same[1:] &= column[order[1:]] == column[order[:-1]]
  return same


def _answered(
  time: Int[np.ndarray, "e"],
  engaged: Bool[np.ndarray, "e"],
  thread: Bool[np.ndarray, "e"],
) -> Bool[np.ndarray, "e"]:
  """Returns which impressions an engagement with the item follows soon.

  Args:
    time: of events, sorted by item, then by time.
    engaged: whether they are engagements.
    thread: whether the event before is of the same user, item and surface.
  """
  size = len(time)
  number = np.cumsum(~thread)
  place = np.where(engaged, np.arange(size), size)
  after = np.minimum.accumulate(place[::-1])[::-1]  # The next engagement.
  after = np.minimum(after, size - 1)
  soon = engaged[after] & (number[after] == number)
  return ~engaged & soon & (time[after] - time <= ANSWER)
