"""The latest events of the users of a log, as a bundle holds them."""

import bisect
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from pinrec_jax.data import schema, store

LATEST = 256  # Events of a user that a bundle holds.


class Users:
  """Histories by user id."""

  def __init__(
    self, names: Sequence[str] = (), events: Sequence[schema.Events] = ()
  ) -> None:
    """Sets the histories.

    Args:
      names: ids of the users, sorted.
      events: the events of each user, oldest first.
    """
    self._names, self._events = names, events

  def __len__(self) -> int:
    return len(self._names)

  def get(self, user: str) -> schema.Events | None:
    """Returns the latest events of a user; None if the log has no such user."""
    place = bisect.bisect_left(self._names, user)
    if place == len(self._names) or self._names[place] != user:
      return None
    return self._events[place]

  def names(self, start: int, size: int) -> Sequence[str]:
    """Returns the ids of some users, from a place in the sorted order."""
    return self._names[start : start + size]

  def sample(self, size: int) -> list[str]:
    """Returns some user ids, spread evenly over all."""
    places = np.linspace(0, len(self) - 1, min(size, len(self))).astype(int)
    return [self._names[int(place)] for place in places]

  def save(self, folder: pathlib.Path) -> None:
    """Writes all histories into a new folder."""
    folder.mkdir()
    store.save(folder, zip(self._names, self._events, strict=True))


def load(folder: pathlib.Path) -> Users:
  """Reads histories, which stay on disk."""
  return Users(*store.load(folder))


def of_log(names: Sequence[str], events: Sequence[schema.Events]) -> Users:
  """Returns the latest events of all users of a log.

  It takes no `Dataset`, because serving must not import its libraries.

  Args:
    names: ids of the users, sorted.
    events: all events of each user, oldest first.
  """
  return Users(names, _Latest(events))


class _Latest(Sequence[schema.Events]):
  """The latest events of each user, cut when they are read."""

  def __init__(self, events: Sequence[schema.Events]) -> None:
    self._events = events

  def __len__(self) -> int:
    return len(self._events)

  def __getitem__(self, place: Any) -> Any:
    return self._events[place].where(slice(-LATEST, None))
