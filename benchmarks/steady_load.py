"""A steady load of requests, events and item changes through a proxy."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import served

TRIES = 6  # Of a call.
EVENTS = 20  # Of one user, so that all of them are kept.
PAUSE = 2.0  # Seconds of load before and after each part.


class Caller:
  """Calls the proxy, and repeats what fails."""

  def __init__(self, port: int) -> None:
    self._client = served.Client("127.0.0.1", port)
    self.repeated, self.failed = 0, 0
    self.seconds: list[float] = []

  async def call(self, method: str, path: str, content: Any = None) -> bool:
    """Returns whether a call succeeded in the end."""
    began = time.perf_counter()
    body = json.dumps(content).encode() if content is not None else b""
    for turn in range(TRIES):
      try:
        status, _ = await self._client.call(method, path, body)
      except (OSError, EOFError):
        status = 503
      if status < 429:
        self.seconds.append(time.perf_counter() - began)
        return status == 200
      self.repeated += 1
      await asyncio.sleep(0.1 * 2**turn)
    self.failed += 1
    return False

  def close(self) -> None:
    """Closes all connections."""
    self._client.close()


class Load:
  """A steady load, and what was acknowledged of it."""

  def __init__(self, port: int, items: list[Any], action: str) -> None:
    self._port, self._items, self._action = port, items, action
    self.events: list[tuple[str, int]] = []  # Users and times.
    self.added: list[str] = []
    self._number = 0

  async def _retrieve(self, caller: Caller, number: int) -> None:
    user = f"load{number % 50}"
    await caller.call("POST", "/v1/retrieve", {"user": user})

  async def _append(self, caller: Caller, number: int) -> None:
    user, when = f"load{number // EVENTS}", 1_700_000_000 + number
    item = self._items[number % len(self._items)]
    event = {"item": item, "actions": [self._action], "time": when}
    path = f"/v1/users/{user}/events"
    if await caller.call("POST", path, {"events": [event]}):
      self.events.append((user, when))

  async def _put(self, caller: Caller, number: int) -> None:
    if await caller.call("PUT", f"/v1/items/load-{number}", {}):
      self.added.append(f"load-{number}")

  @contextlib.asynccontextmanager
  async def running(self, rate: float) -> AsyncIterator[dict[str, Any]]:
    """Holds a rate of requests, and a tenth of it of events and of items.

    Yields:
      a dictionary, which has the figures at the end.
    """
    found: dict[str, Any] = {}
    callers = {name: Caller(self._port) for name in ("retrieve", "events",
                                                     "items")}  # fmt: skip
    calls = dict(zip(callers, (self._retrieve, self._append, self._put),
                     strict=True))  # fmt: skip
    open_calls: set[asyncio.Task] = set()

    async def _send() -> None:
      began = time.perf_counter()
      for place in range(sys.maxsize):
        self._number += 1
        for name in ("retrieve",) if place % 10 else calls:
          task = asyncio.create_task(calls[name](callers[name], self._number))
          open_calls.add(task)
          task.add_done_callback(open_calls.discard)
        wait = began + (place + 1) / rate - time.perf_counter()
        await asyncio.sleep(max(wait, 0))

    sending = asyncio.create_task(_send())
    await asyncio.sleep(PAUSE)
    try:
      yield found
      await asyncio.sleep(PAUSE)
    finally:
      sending.cancel()
      await asyncio.gather(*open_calls)
    for name, caller in callers.items():
      caller.close()
      found[name] = milliseconds(caller.seconds) | {
        "calls": len(caller.seconds) + caller.failed,
        "repeated_by_client": caller.repeated, "failed": caller.failed,
      }  # fmt: skip


def milliseconds(seconds: list[float]) -> dict[str, float]:
  """Returns the median, the 99 % quantile and the largest, in ms."""
  p50, p99, most = 1e3 * np.percentile(seconds, (50, 99, 100))
  return {"p50_ms": p50, "p99_ms": p99, "max_ms": most}
