"""Rows that are one event, found in rows that are sorted by user and time.

Preparing a log and answering a request use the same rules. So a history is the
same in both.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Int

from pinrec_jax.data import schema

ANSWER = 1800  # Seconds after an impression in which an engagement answers it.


@dataclasses.dataclass(frozen=True)
class Rows:
  """Rows of some users as arrays, sorted by user and time.

  Attributes:
    user: number of the user.
    time: unix seconds; 0 is unknown.
    item: row of the item table.
    surface: index of the surface.
    mask: one bit an action.
    place: of the row in the log; see `events.check`.
  """

  user: Int[np.ndarray, "n"]
  time: Int[np.ndarray, "n"]
  item: Int[np.ndarray, "n"]
  surface: Int[np.ndarray, "n"]
  mask: Int[np.ndarray, "n"]
  place: Int[np.ndarray, "n"]

  @classmethod
  def of(cls, table: pa.Table, user: Int[np.ndarray, "n"]) -> "Rows":
    """Returns the columns of a table."""
    names = [field.name for field in dataclasses.fields(cls)][1:]
    return cls(
      user, *(table[name].fill_null(0).to_numpy().astype(int) for name in names)
    )

  def take(self, rows: Any) -> "Rows":
    """Returns some of the rows."""
    return Rows(*(column[rows] for column in vars(self).values()))


def merge(
  rows: Rows,
) -> tuple[Int[np.ndarray, "m"], Int[np.ndarray, "m"], Int[np.ndarray, "_"]]:
  """Merges rows with one user, item, time and surface into one event.

  Without a time, nothing says that two rows are one event.

  Args:
    rows: sorted by user, time, item, surface and place.

  Returns:
    the first row of each event, in the order of user, time and place; the
    actions of the event; and the rows that repeat an earlier row.
  """
  same = rows.time[1:] > 0
  for column in (rows.user, rows.time, rows.item, rows.surface):
    same &= column[1:] == column[:-1]
  start = np.append(True, ~same)[: len(rows.user)]
  first = np.flatnonzero(start)
  if not len(first):
    return first, first, first
  mask = np.bitwise_or.reduceat(rows.mask, first)
  several = np.flatnonzero(~start | np.append(same, False))
  pairs = pd.DataFrame(
    {"n": np.cumsum(start)[several], "m": rows.mask[several]}
  )
  again = several[pairs.duplicated().to_numpy()]
  event = rows.take(first)
  tied = (event.user[1:] == event.user[:-1]) & (
    event.time[1:] == event.time[:-1]
  )
  inside = np.flatnonzero(np.append(False, tied) | np.append(tied, False))
  moment = np.cumsum(np.append(True, ~tied))
  order = np.arange(len(first))
  order[inside] = inside[np.lexsort((event.place[inside], moment[inside]))]
  return first[order], mask[order], again


def answered(
  rows: Rows, engaged: Bool[np.ndarray, "n"]
) -> Bool[np.ndarray, "n"]:
  """Returns which impressions an engagement answers soon.

  It has the same user, item and surface. Such an impression would tell the
  model the target, and it is not an impression without engagement.

  Args:
    rows: events in the order of user and time.
    engaged: which of them are engagements.
  """
  key = rows.user * (rows.item.max(initial=0) + 1) + rows.item
  key = key * (rows.surface.max(initial=0) + 1) + rows.surface
  found = np.zeros(len(key), bool)
  shown = np.flatnonzero((rows.mask == 0) & (rows.time > 0))
  acted = np.flatnonzero(engaged & (rows.time > 0))
  acted = acted[pd.Series(key[acted]).isin(key[shown]).to_numpy()]
  both = np.sort(np.append(shown, acted))
  both = both[np.argsort(key[both], kind="stable")]
  if len(both):
    # The next engagement of each row, if it has the same key.
    place = np.where(engaged[both], np.arange(len(both)), len(both) - 1)
    following = both[np.minimum.accumulate(place[::-1])[::-1]]
    soon = rows.time[following] - rows.time[both] <= ANSWER
    soon &= engaged[following] & (key[following] == key[both])
    found[both] = soon & ~engaged[both]
  return found


class Merged(NamedTuple):
  """Events, and the first row of each."""

  events: schema.Events
  row: Int[np.ndarray, "m"]


def of_user(rows: schema.Events) -> Merged:
  """Returns the events of one user's rows, which may be in any order.

  Rows of items that the catalog does not have are not merged.
  """
  size, actions = len(rows), rows.actions.shape[1]
  unknown = rows.item == schema.NO_ITEM
  item = rows.item.astype(int)
  item[unknown] = item.max(initial=0) + 1 + np.flatnonzero(unknown)
  order = np.lexsort((np.arange(size), rows.surface, item, rows.time))
  # One bit an action, and one more for an engagement without any action.
  bits = np.concatenate([rows.actions, rows.engaged[:, None]], 1).astype(int)
  columns = Rows(
    user=np.zeros(size, int),
    time=rows.time.astype(int),
    item=item,
    surface=rows.surface.astype(int),
    mask=bits @ (1 << np.arange(actions + 1)),
    place=np.arange(size),
  ).take(order)
  first, mask, _ = merge(columns)
  engaged = (mask >> actions & 1).astype(bool)
  event = dataclasses.replace(columns.take(first), mask=mask)
  kept = ~answered(event, engaged)
  row = order[first[kept]]
  found = rows.where(row)
  own = (mask[kept, None] >> np.arange(actions) & 1).astype(np.uint8)
  return Merged(
    schema.Events(**{**vars(found), "actions": own, "engaged": engaged[kept]}),
    row,
  )
