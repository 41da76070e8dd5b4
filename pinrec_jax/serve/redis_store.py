"""A store in Redis or Valkey, for several servers.

Redis must write every change to disk before it answers, with
`appendonly yes` and `appendfsync always`. Otherwise a crash of Redis loses
acknowledged events.

The latest state of every changed item is in a hash. A sorted set has the number
of its change. Each server reads the states whose numbers are above the last one
that it has applied.
"""

from collections.abc import Awaitable, Sequence
from typing import Any, cast
from urllib import parse

import redis.asyncio
import redis.exceptions

from pinrec_jax.serve import stores

PREFIX = "pinrec:"
KEYS = (f"{PREFIX}items", f"{PREFIX}order")  # States, and their numbers.
TIMEOUT = 5.0  # Seconds for one command.
# A script runs as a whole, so no server sees a number before a smaller one.
# Numbers follow the clock. So a new change has a new number, even if a crash of
# Redis has lost the latest ones.
PUT = """
local time = redis.call("TIME")
local newest = redis.call("ZRANGE", KEYS[2], -1, -1, "WITHSCORES")[2]
local number = math.max(time[1] * 1e6 + time[2], tonumber(newest or 0))
for place = 1, #ARGV, 2 do
  number = number + 1
  redis.call("HSET", KEYS[1], ARGV[place], ARGV[place + 1])
  redis.call("ZADD", KEYS[2], number, ARGV[place])
end
"""
CHANGES = """
local found = redis.call("ZRANGEBYSCORE", KEYS[2], "(" .. ARGV[1], "+inf",
                         "WITHSCORES", "LIMIT", 0, ARGV[2])
local changes = {}
for place = 1, #found, 2 do
  local state = redis.call("HGET", KEYS[1], found[place])
  table.insert(changes, {found[place + 1], found[place], state})
end
return changes
"""


class RedisStore:
  """A store behind an address such as redis://HOST:PORT/0."""

  def __init__(self, address: str, *, max_events: int) -> None:
    """Connects when it is first used.

    Args:
      address: of the server.
      max_events: events that are kept of each user.
    """
    self._max_events = max_events
    # Errors show the address, without user and password.
    whole = parse.urlsplit(address)
    host = whole.netloc.rpartition("@")[2]
    self._shown = whole._replace(netloc=host, query="").geturl()
    self._redis: Any = redis.asyncio.from_url(
      address, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
    )
    self._put = self._redis.register_script(PUT)
    self._changes = self._redis.register_script(CHANGES)
    self.shared, self.writable = True, True

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
    values = [value for state in states for value in state]
    await self._write(self._put(KEYS, values))

  async def changes(self, after: int) -> list[stores.Change]:
    """Returns the oldest changes after a number."""
    found = await self._call(self._changes(KEYS, [after, stores.PAGE]))
    return [
      stores.Change(int(number), item.decode(), state)
      for number, item, state in found
    ]

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
        f"the store {self._shown} does not answer ({error}); check that the "
        "server runs"
      ) from error
