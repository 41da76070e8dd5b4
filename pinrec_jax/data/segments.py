"""A log in several stores: the first one, and one for each later day."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from pinrec_jax.data import histories, merging, schema, store

# An update reads the log about eight times, and merging takes longer than
# reading. Events that were merged are held, up to this many bytes.
HELD_BYTES = 1 << 28
OBJECT_BYTES = 2048  # Of the Python objects of a user.


class Joined(Sequence[schema.Events]):
  """The events of users in several stores, merged when they are first read."""

  def __init__(
    self,
    stores: Sequence[Sequence[schema.Events]],
    places: Sequence[Int[np.ndarray, "u"]],
    *,
    daily: bool,
  ) -> None:
    """Sets the stores.

    Args:
      stores: oldest first.
      places: place of each user in each store; -1 is none.
      daily: whether times are days, so that equal times say little.
    """
    self._stores, self._places, self._daily = stores, places, daily
    self._held: dict[int, schema.Events] = {}
    self._room = HELD_BYTES

  def __len__(self) -> int:
    return len(self._places[0])

  def __getitem__(self, place: Any) -> Any:
    if isinstance(place, slice):
      return [self[n] for n in range(*place.indices(len(self)))]
    if place in self._held:
      return self._held[place]
    parts = [
      own[int(rows[place])]
      for own, rows in zip(self._stores, self._places, strict=True)
      if rows[place] >= 0
    ]
    if len(parts) == 1:
      return parts[0]
    found = merged(parts, daily=self._daily)
    if (size := _bytes(found)) <= self._room:
      self._held[place] = found
      self._room -= size
    return found


def _bytes(events: schema.Events) -> int:
  """Returns the bytes that a user's events take in memory."""
  return OBJECT_BYTES + sum(column.nbytes for column in vars(events).values())


def merged(
  parts: Sequence[schema.Events], *, daily: bool = False
) -> schema.Events:
  """Returns one user's events of several days in the order of their times.

  The rules are those of a log that is prepared at once: equal rows are one
  event, unless times are days. Two events of the same second may be in another
  order. Sessions of different parts stay apart, because their numbers are not
  those of one log.
  """
  sessions = 0
  apart = []
  for own in parts:
    named = own.session != schema.UNKNOWN_SESSION
    session = np.where(named, own.session + sessions, own.session)
    sessions = int(session.max(initial=sessions - 1)) + 1
    apart.append(dataclasses.replace(own, session=session.astype(np.int32)))
  found = histories.joined(apart)
  # An impression may be answered in the next part.
  gap = 0 if daily else merging.ANSWER
  ends = [int(own.time.max(initial=0)) for own in apart]
  starts = [int(own.time.min(initial=np.iinfo(np.int64).max)) for own in apart]
  if all(
    after > end + gap for end, after in zip(ends, starts[1:], strict=False)
  ):
    return found
  if daily:
    return found.where(np.argsort(found.time, kind="stable"))
  return merging.of_user(found).events


def load(
  folders: Sequence[pathlib.Path], *, daily: bool
) -> tuple[tuple[str, ...], Sequence[schema.Events]]:
  """Returns the users of several stores, sorted, and the events of each.

  Args:
    folders: of the stores, oldest first.
    daily: as for `Joined`.

  Raises:
    DamagedError: naming a store or a file that is damaged or missing.
  """
  for folder in folders[:-1]:
    if not store.is_finished(folder):
      raise store.DamagedError(f"{folder}, an earlier day, is missing")
  found = [store.load(folder) for folder in folders]
  if len(found) == 1:
    return found[0]
  users = sorted(set().union(*(names for names, _ in found)))
  places = [
    pd.Index(names, dtype=object).get_indexer(pd.Index(users, dtype=object))
    for names, _ in found
  ]
  stores = [events for _, events in found]
  return tuple(users), Joined(stores, places, daily=daily)
