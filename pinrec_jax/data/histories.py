"""A user's events as the arrays that the model reads."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Shaped

from pinrec_jax import config as config_lib
from pinrec_jax.data import schema

USERS = 4096  # Users whose events are joined at a time.


def gaps(
  later: Int[np.ndarray, "*b"], earlier: Int[np.ndarray, "*b"]
) -> Int[np.ndarray, "*b"]:
  """Returns the seconds between times; -1 where one of the two is unknown."""
  known = (later != schema.UNKNOWN_TIME) & (earlier != schema.UNKNOWN_TIME)
  gap = np.minimum(later - earlier, np.iinfo(np.int32).max)
  return np.where(known, gap, -1).astype(np.int32)


def of_columns(columns: Mapping[str, Any]) -> schema.Events:
  """Returns events of some columns; the others have missing values.

  Args:
    columns: `item`, `actions` and any others, of any type.
  """
  size = len(columns["item"])
  return schema.Events(
    **{
      name: np.asarray(columns[name], column["dtype"])
      if name in columns
      else np.full(size, column["missing"], column["dtype"])
      for name, column in schema.COLUMNS.items()
    }
  )


def joined(events: Sequence[schema.Events]) -> schema.Events:
  """Returns the events of several users, one user after the other."""
  return schema.Events(
    **{
      name: np.concatenate([getattr(own, name) for own in events])
      for name in schema.COLUMNS
    }
  )


def parts(
  events: Sequence[schema.Events],
) -> Iterator[
  tuple[Sequence[schema.Events], schema.Events, Int[np.ndarray, "l"]]
]:
  """Yields some users at a time: each one's events, all, and whose they are."""
  for first in range(0, len(events), USERS):
    some = events[first : first + USERS]
    user = np.repeat(np.arange(len(some)), [len(own) for own in some])
    yield some, joined(some), user


def tokens(events: schema.Events) -> schema.Tokens:
  """Returns a start token and one token an event, as a single segment."""
  return schema.Tokens(
    *(column[0] for column in serving([events], 1 + len(events)))
  )


def training(
  everything: schema.Events,
  config: config_lib.Data,
  *,
  end: int,
  outcomes: int,
  aim: schema.Aim = schema.EVERYTHING,
) -> list[schema.Batch]:
  """Returns a user's history, each position with its target.

  The target is the next engagement. A history longer than a row becomes
  several rows, each with its own start token. A user without a target has no
  row. If a history starts with context events, the last of them has a target,
  and the positions before it have none.

  Args:
    everything: the user's events up to the end of training.
    config: says which events are read, how long a row is and when a session
      ends.
    end: the unix second when training ends; 0 if there is none.
    outcomes: number of actions that can be predicted.
    aim: which engagements are predicted. The positions before all others have
      no target.
  """
  place = np.flatnonzero(readable(everything, config.history_events))
  events, length = everything.where(place), config.sequence_length
  engaged = np.flatnonzero(events.engaged)
  session = sessions(events, config.session_gap)
  # The first impression-only event after each event, on the surface that is
  # predicted. It is a place in `everything`.
  shown_only = ~(everything.engaged | everything.context)
  if aim.surface is not None:
    shown_only &= everything.surface == aim.surface
  impressions = np.append(np.flatnonzero(shown_only), len(everything))
  shown_item = np.append(everything.item, schema.NO_ITEM)
  after_token = np.append(-1, place) + 1
  pieces = []
  # A daily update puts events of earlier days first, as context. If each of
  # them predicted the first engagement of the day, most of the loss would be
  # about items that are many events ahead.
  leading = int(np.argmin(np.append(events.context, False)))
  for first in range(0, int(engaged[-1]) + 1 if engaged.size else 0, length):
    last = min(first + length - 1, int(engaged[-1]))
    read = tokens(events.where(slice(first, last)))
    following = engaged[np.searchsorted(engaged, first + read.position)]
    target = events.where(following)
    wanted = aim.met(target) & (first + read.position >= leading)
    if not wanted.any():
      continue
    after = after_token[first + read.position]
    shown = impressions[np.searchsorted(impressions, after)]
    shown = np.where(shown < place[following], shown, len(everything))
    targets = schema.Targets(
      item=np.where(wanted, target.item, schema.NO_ITEM).astype(np.int32),
      outcomes=target.actions[:, :outcomes] * aim.aimed(outcomes),
      surface=target.surface.astype(np.int32),
      item_type=target.item_type.astype(np.int32),
      time=target.time.astype(np.uint32),
      age=gaps(np.full_like(target.time, end), target.time),
      session=session[following],
      shown=shown_item[shown].astype(np.int32),
      new=np.diff(following, prepend=-1) != 0,
    )
    pieces.append(schema.Batch(read, targets))
  return pieces


def sessions(events: schema.Events, gap: int) -> Int[np.ndarray, "l"]:
  """Returns the number of each event's session, counted from 0.

  Events with the same session number in the log are in one session. Other
  events start a new session more than `gap` seconds after the event before
  them. They also start one if one of the two times is unknown.
  """
  apart = gaps(events.time[1:], events.time[:-1])
  breaks = (apart < 0) | (apart > gap)
  named = events.session >= 0
  both = named[1:] & named[:-1]
  breaks = np.where(both, np.diff(events.session) != 0, breaks)
  number = np.append(0, np.cumsum(breaks))[: len(events)].astype(np.int32)
  _, first, which = np.unique(
    events.session[named], return_index=True, return_inverse=True
  )
  number[named] = number[named][first][which]
  return number


def readable(
  events: schema.Events, history_events: str
) -> Bool[np.ndarray, "l"]:
  """Returns which events the model may read."""
  if history_events == "engagements":
    return events.engaged | events.context
  return np.ones(len(events), bool)


def visible(events: schema.Events, history_events: str) -> schema.Events:
  """Returns the events that the model may read."""
  mask = readable(events, history_events)
  return events if mask.all() else events.where(mask)


def serving(histories: list[schema.Events], length: int) -> schema.Tokens:
  """Returns histories as rows [b length], padded on the left.

  A column that `Events` and `Tokens` share is copied. The others say where an
  event is in its history.

  Raises:
    ValueError: if a history does not fit.
  """
  for number, events in enumerate(histories):
    if len(events) >= length:
      raise ValueError(
        f"history {number} has {len(events)} events, more than the "
        f"{length - 1} that fit; pass the latest {length - 1}"
      )
  sizes = np.array([1 + len(events) for events in histories], np.int32)
  # Padding is before 0, the place of the start token.
  place = np.arange(length, dtype=np.int32) - (length - sizes)[:, None]
  there = place >= 0
  held = place > 0
  time = _column(histories, "time", np.int64, held)
  before = np.pad(time, [(0, 0), (1, 0)])[:, :-1]
  columns = {
    "gap": np.where(there, gaps(time, before), 0),
    "position": np.where(there, place, 0),
    "after": np.where(there, np.arange(length, dtype=np.int32)[::-1], 0),
    "segment": there.astype(np.int32),
  }
  for name in schema.Tokens._fields:
    if name in schema.COLUMNS:
      dtype = schema.COLUMNS[name]["compact"]
      columns[name] = _column(histories, name, dtype, held)
  return schema.Tokens(**columns)


def _column(
  histories: list[schema.Events],
  name: str,
  dtype: Any,
  held: Bool[np.ndarray, "b l"],
) -> Shaped[np.ndarray, "b l ..."]:
  """Returns a column of all events, in the places that hold an event."""
  own = np.concatenate([getattr(events, name) for events in histories])
  column = np.zeros((*held.shape, *own.shape[1:]), dtype)
  column[held] = own
  return column
