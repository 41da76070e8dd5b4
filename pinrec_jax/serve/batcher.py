"""A bounded queue that turns single requests into batches."""

import asyncio
import concurrent.futures
import contextlib
import heapq
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class QueueFullError(Exception):
  """The queue has no place left; the client should try again later."""


class DeadlineExceededError(Exception):
  """The deadline of a request passed before it was answered."""


class _Entry(NamedTuple):
  """A waiting request; entries are ordered by deadline, then by arrival."""

  deadline: float
  number: int
  item: Any
  future: asyncio.Future
  arrived: float


class Batcher(Generic[_Item, _Result]):
  """Runs a function on batches, in a thread of its own.

  While one batch runs, the next one fills. An entry waits at most `max_wait`
  seconds for others. Entries leave the queue by their deadlines. Those whose
  deadline has passed are dropped.
  """

  def __init__(
    self,
    function: Callable[[Sequence[_Item]], Sequence[_Result]],
    *,
    max_batch: int,
    max_queue: int,
    max_wait: float,
    observe: Callable[[str, float], None] = lambda stage, value: None,
  ) -> None:
    """Sets up the queue; `start` begins to run batches.

    Args:
      function: returns one result per item, in order.
      max_batch: items of a batch.
      max_queue: items that may wait.
      max_wait: seconds that an item waits for others.
      observe: gets the seconds that each item waited ("queue") and the size of
        each batch ("batch").
    """
    self._function, self._observe = function, observe
    self._max_batch, self._max_queue = max_batch, max_queue
    self._max_wait = max_wait
    self._waiting: list[_Entry] = []
    self._number = itertools.count()
    self._arrival = asyncio.Event()
    self._full = asyncio.Event()
    self._thread = concurrent.futures.ThreadPoolExecutor(1, "batches")
    self._task: asyncio.Task | None = None
    self._stopping = False

  def __len__(self) -> int:
    return len(self._waiting)

  def start(self) -> None:
    """Begins to run batches; call it inside the event loop."""
    self._task = asyncio.get_running_loop().create_task(self._run())

  async def stop(self) -> None:
    """Runs all entries that wait, then ends."""
    self._stopping = True
    self._arrival.set()
    self._full.set()
    if self._task is not None:
      await self._task
    self._thread.shutdown()

  async def submit(self, item: _Item, deadline: float) -> _Result:
    """Returns the result of an item.

    Args:
      item: argument of the function, in a batch with others.
      deadline: time of `time.monotonic` after which the result is useless.

    Raises:
      QueueFullError: if there is no place, or the batcher is stopping.
      DeadlineExceededError: if the deadline passes.
    """
    if self._stopping or len(self._waiting) >= self._max_queue:
      raise QueueFullError
    now = time.monotonic()
    future = asyncio.get_running_loop().create_future()
    entry = _Entry(deadline, next(self._number), item, future, now)
    heapq.heappush(self._waiting, entry)
    self._arrival.set()
    if len(self._waiting) >= self._max_batch:
      self._full.set()
    try:
      async with asyncio.timeout(max(deadline - now, 0)):
        return await future
    except TimeoutError:
      raise DeadlineExceededError from None

  async def _run(self) -> None:
    loop = asyncio.get_running_loop()
    while self._waiting or not self._stopping:
      await self._arrival.wait()
      if len(self._waiting) < self._max_batch and not self._stopping:
        with contextlib.suppress(TimeoutError):
          await asyncio.wait_for(self._full.wait(), self._max_wait)
      batch = self._take()
      if batch:
        await self._answer(loop, batch)

  def _take(self) -> list[_Entry]:
    """Returns the next batch, without entries that nobody waits for."""
    batch, now = [], time.monotonic()
    while self._waiting and len(batch) < self._max_batch:
      entry = heapq.heappop(self._waiting)
      if not entry.future.done() and entry.deadline > now:
        batch.append(entry)
    if not self._waiting:
      self._arrival.clear()
    if len(self._waiting) < self._max_batch:
      self._full.clear()
    return batch

  async def _answer(
    self, loop: asyncio.AbstractEventLoop, batch: list[_Entry]
  ) -> None:
    now = time.monotonic()
    for entry in batch:
      self._observe("queue", now - entry.arrived)
    self._observe("batch", len(batch))
    items = [entry.item for entry in batch]
    try:
      results = await loop.run_in_executor(self._thread, self._function, items)
    except Exception as error:
      for entry in batch:
        if not entry.future.done():
          entry.future.set_exception(error)
      return
    for entry, result in zip(batch, results, strict=True):
      if not entry.future.done():
        entry.future.set_result(result)
