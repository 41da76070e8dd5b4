"""A store in Redis or Valkey, for several servers.

Redis must write every change to disk before it answers, with
`appendonly yes` and `appendfsync always`. Otherwise a crash of Redis loses
acknowledged events.
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, cast

import redis.asyncio
import redis.exceptions

from pinrec_jax.serve import stores

PREFIX = "pinrec:"
TIMEOUT = 5.0  # Seconds for one command.
PAGE = 512  # Items in one read.


class RedisStore:
  """A store behind an address such as redis://HOST:PORT/0."""

  def __init__(self, address: str, *, max_events: int) -> None:
    """Connects when it is first used.

    Args:
      address: of the server.
      max_events: events that are kept of each user.
    """
    self._address, self._max_events = address, max_events
    self._redis: Any = redis.asyncio.from_url(
      address, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
    )
    self.writable = True

  async def append(self, user: str, events: Sequence[bytes]) -> int:
    """Adds a user's events and returns how many the user has now."""
    key = f"{PREFIX}events:{user}"
    pipe = self._redis.pipeline(transaction=True)
    pipe.rpush(key, *events)
    pipe.ltrim(key, -self._max_events, -1)
    pipe.llen(key)
    return (await self._write(pipe.execute()))[-1]

  async def read(self, user: str) -> stores.Stored:
    """Returns a user's events."""
    pipe = self._redis.pipeline(transaction=True)
    pipe.lrange(f"{PREFIX}events:{user}", 0, -1)
    pipe.sismember(f"{PREFIX}forgotten", user)
    events, forgotten = await self._call(pipe.execute())
    return stores.Stored(events, bool(forgotten))

  async def delete(self, user: str) -> int:
    """Deletes a user's events for good and returns how many there were."""
    key = f"{PREFIX}events:{user}"
    pipe = self._redis.pipeline(transaction=True)
    pipe.llen(key)
    pipe.delete(key)
    pipe.sadd(f"{PREFIX}forgotten", user)
    return (await self._write(pipe.execute()))[0]

  async def put_items(self, states: Sequence[tuple[str, bytes]]) -> None:
    """Stores the states of changed items, in order."""
    last = await self._write(
      self._redis.incrby(f"{PREFIX}changes", len(states))
    )
    pipe = self._redis.pipeline(transaction=True)
    for number, (item, state) in enumerate(states, start=1):
      pipe.hset(f"{PREFIX}items", item, state)
      pipe.zadd(f"{PREFIX}order", {item: last - len(states) + number})
    await self._write(pipe.execute())

  async def items(self) -> AsyncIterator[tuple[str, bytes]]:
    """Yields all changed items and their states, the oldest change first."""
    first = 0
    while True:
      order = f"{PREFIX}order"
      names = await self._call(
        self._redis.zrange(order, first, first + PAGE - 1)
      )
      if not names:
        return
      states = await self._call(self._redis.hmget(f"{PREFIX}items", names))
      for name, state in zip(names, states, strict=True):
        yield name.decode(), state
      first += PAGE

  async def close(self) -> None:
    """Closes the connections."""
    await self._redis.aclose()

  async def _write(self, command: Awaitable[Any]) -> Any:
    """Runs a command that changes something."""
    try:
      result = await self._call(command)
    except stores.StoreError as error:
      self.writable = False
      raise stores.ReadOnlyError(str(error)) from error
    self.writable = True
    return result

  async def _call(self, command: Awaitable[Any]) -> Any:
    """Runs a command.

    Raises:
      StoreError: if the server does not answer.
    """
    try:
      return await cast(Any, command)
    except redis.exceptions.RedisError as error:
      raise stores.StoreError(
        f"the store {self._address} does not answer ({error}); check that the "
        "server runs"
      ) from error
