"""Users: their events are stored, read and deleted."""

import time
from collections.abc import Callable

import msgspec

from pinrec_jax import config as config_lib
from pinrec_jax.data import schema
from pinrec_jax.inference import request_events, requests, wire
from pinrec_jax.serve import (
  messages,
  metrics,
  readable,
  stores,
  user_histories,
)
from pinrec_jax.serve import serving as serving_lib

SKEW_EVERY = 100  # Stored histories of which one is compared with training.
DAY = 86_400  # Seconds that an event may lie in the future.


class Users:
  """The users' events in the store, read by the bundle that is served."""

  def __init__(
    self,
    config: config_lib.Serve,
    serving: Callable[[], serving_lib.Serving],
    store: stores.Store,
    measured: metrics.Metrics,
  ) -> None:
    """Sets up the users.

    Args:
      config: limits of a user's events.
      serving: returns the bundle that is served.
      store: of the events.
      measured: gets the number of events and of compared histories.
    """
    self._config, self._serving = config, serving
    self._store, self._metrics = store, measured
    self._compared, self._last_time = 0, 0

  async def known(
    self, serving: serving_lib.Serving, user: str
  ) -> requests.History | None:
    """Returns a user's history; None if the store has nothing of the user.

    Raises:
      StoreError: if the store cannot be read.
    """
    return _merged(serving, user, await self._store.read(user))

  def compare(
    self,
    serving: serving_lib.Serving,
    request: requests.Request,
    known: requests.History,
  ) -> None:
    """Counts whether training would read a stored history as it was read.

    One of `SKEW_EVERY` histories is compared.
    """
    if self._compared % SKEW_EVERY == 0:
      same = user_histories.is_as_trained(request, known, serving.bundle)
      self._metrics.skew.labels("equal" if same else "different").inc()
    self._compared += 1

  async def append(self, user: str, body: bytes) -> messages.Stored:
    """Stores events of a user.

    Raises:
      StoreError: if they cannot be stored.
      ValueError: naming the event and the field at fault.
    """
    user = wire.id_text(user, "user")
    events = wire.decode_as(messages.NewEvents, body).events
    own = self._serving()
    if not 1 <= len(events) <= self._config.max_events:
      raise ValueError(
        f"events has {len(events)} entries; send 1 to "
        f"{self._config.max_events} at once"
      )
    now = self._now()
    for place, event in enumerate(events):
      if event.time is None:
        event.time = float(now)
      if event.time > now + DAY:
        raise ValueError(
          f"events[{place}]: time is {event.time:.15g}, in the future; give "
          "unix seconds"
        )
    names, items = own.bundle.vocabulary, own.live.snapshot
    read = request_events.read(events, False, items, names)
    unknown = (read.item == schema.NO_ITEM).nonzero()[0]
    if unknown.size:
      request_events.unknown_items(
        [events[place] for place in unknown],
        unknown,
        own.bundle.catalog,
        own.bundle.config.model,
      )
    encoded = [msgspec.json.encode(event) for event in events]
    total = await self._store.append(user, encoded)
    self._metrics.events.inc(len(events))
    return messages.Stored(user, len(events), total)

  async def history(self, user: str) -> messages.History:
    """Returns the history of a user.

    Raises:
      StoreError: if the store cannot be read.
    """
    own, user = self._serving(), wire.id_text(user, "user")
    stored = await self._store.read(user)
    known = _merged(own, user, stored) or own.now().reader.known(user)
    if known is None:
      return messages.History(user, [], 0, {})
    events, items = readable.history(own, known)
    return messages.History(user, events, len(stored.events), items)

  async def forget(self, user: str) -> messages.Stored:
    """Deletes a user's events for good.

    Raises:
      StoreError: if they cannot be deleted.
    """
    user = wire.id_text(user, "user")
    return messages.Stored(user, await self._store.delete(user), 0)

  def _now(self) -> int:
    """Returns unix seconds that never fall, even if the clock is set back."""
    self._last_time = max(self._last_time, int(time.time()))
    return self._last_time


def _merged(
  serving: serving_lib.Serving, user: str, stored: stores.Stored
) -> requests.History | None:
  """Returns a user's history; None if nothing is stored."""
  if not stored.events and not stored.forgotten:
    return None
  items = serving.live.snapshot
  return user_histories.merged(serving.bundle, items, user, stored)
