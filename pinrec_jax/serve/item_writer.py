"""The one writer of the live items: check, store, then make searchable.

The store is the journal of all changes, of this server and of others. Every
server applies the stored changes in their order, its own ones among them. So
all servers end with the same items.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec
from absl import logging

from pinrec_jax import pace
from pinrec_jax.serve import item_changes, metrics, snapshots, stores
from pinrec_jax.serve import serving as serving_lib

MAX_CHANGES = 256  # Changes that are stored together.
LOOK = 0.1  # Seconds between two looks at the changes of other servers.
AT_ONCE = 64  # Stored changes that are applied together.
REST = 0.2  # Most seconds between two parts of them during a swap.
MAX_ADDED = 2000  # Items outside the base index before it is built again.
MAX_DEAD = 0.2  # Fraction of deleted items before it is built again.

Serving = serving_lib.Serving


class _Entry(NamedTuple):
  item: str
  state: item_changes.ItemState
  done: asyncio.Future


class ItemWriter:
  """Applies changes one batch after another, in the order of their calls.

  A change is acknowledged once it is in the store and in the live items.
  """

  def __init__(
    self,
    store: stores.Store,
    serving: Callable[[], Serving],
    measured: metrics.Metrics,
  ) -> None:
    """Sets up the queue; `start` begins to apply changes.

    Args:
      store: where the changes are kept.
      serving: returns the bundle that is served.
      measured: gets the numbers of items.
    """
    self._store, self._serving, self._metrics = store, serving, measured
    self._queue: asyncio.Queue[_Entry | None] = asyncio.Queue()
    self._lock = asyncio.Lock()
    self._task: asyncio.Task | None = None
    self._following: asyncio.Task | None = None
    self._rebuilding: asyncio.Task | None = None

  @property
  def lag(self) -> float:
    """Age of the oldest change of another server that may be missing, in s."""
    if not self._store.shared:
      return 0.0
    return time.monotonic() - self._serving().live.complete

  def start(self) -> None:
    """Begins to apply changes; call it inside the event loop."""
    loop = asyncio.get_running_loop()
    self._task = loop.create_task(self._run())
    if self._store.shared:
      self._following = loop.create_task(self._follow())

  async def stop(self) -> None:
    """Applies all changes that wait, then ends."""
    if self._following is not None:
      self._following.cancel()
    if self._task is not None:
      self._queue.put_nowait(None)
      await self._task

  async def write(
    self, item: str, state: item_changes.ItemState
  ) -> snapshots.Snapshot:
    """Returns the live items once they have a change.

    Raises:
      StoreError: if it cannot be stored.
      ValueError: if it is invalid.
    """
    done = asyncio.get_running_loop().create_future()
    self._queue.put_nowait(_Entry(item, state, done))
    return await done

  async def replay(
    self, serving: Serving, rest: pace.Rest = pace.unpaced
  ) -> None:
    """Applies all stored changes that a bundle does not have yet.

    Args:
      serving: the bundle.
      rest: is called after some changes, for requests to another bundle.
    """
    while True:
      began = time.monotonic()
      part = await self._store.changes(serving.live.number)
      if part:
        await asyncio.to_thread(_apply, serving, part, rest)
      # Changes that others store meanwhile can wait for the next look.
      if len(part) < stores.PAGE:
        serving.live.complete = began
        return

  async def swap(
    self, serving: Serving, use: Callable[[], Awaitable[None]]
  ) -> None:
    """Brings a bundle up to date, then makes it the one that is served.

    Args:
      serving: the new bundle.
      use: makes it the one that is served; no change is applied meanwhile.
    """
    await self.replay(serving, pace.Pace(REST))
    async with self._lock:
      await self.replay(serving)
      await use()

  async def _run(self) -> None:
    while True:
      batch = [await self._queue.get()]
      while len(batch) < MAX_CHANGES and not self._queue.empty():
        batch.append(self._queue.get_nowait())
      async with self._lock:
        await self._write([entry for entry in batch if entry is not None])
      if None in batch:
        return

  async def _write(self, batch: Sequence[_Entry]) -> None:
    """Stores and applies changes, and reports to those who wait."""
    serving = self._serving()
    valid = []
    for entry in batch:
      try:
        item_changes.check(serving.retriever, entry.item, entry.state)
      except (ValueError, OverflowError) as error:
        entry.done.set_exception(ValueError(str(error)))
      else:
        valid.append(entry)
    if not valid:
      return
    try:
      await self._store.put_items(
        [(entry.item, msgspec.json.encode(entry.state)) for entry in valid]
      )
      await self._update(serving)
    except Exception as error:
      for entry in valid:
        if not entry.done.done():
          entry.done.set_exception(error)
      return
    for entry in valid:
      if not entry.done.done():
        entry.done.set_result(serving.live.snapshot)

  async def _update(self, serving: Serving) -> None:
    """Applies all stored changes to the bundle that is served."""
    before = serving.live.number
    await self.replay(serving)
    if serving.live.number == before:
      return
    snapshot = serving.live.snapshot
    self._metrics.of_items(snapshot)
    added = len(snapshot.place_rows) - snapshot.base
    if added > MAX_ADDED or snapshot.dead > MAX_DEAD * snapshot.base:
      self._rebuild(serving)

  async def _follow(self) -> None:
    """Applies the changes of other servers, until it is cancelled."""
    failing = False
    while True:
      await asyncio.sleep(LOOK)
      try:
        async with self._lock:
          await self._update(self._serving())
      except Exception as error:  # They are applied later.
        if not failing:
          logging.warning("changes of items cannot be read: %s", error)
        failing = True
      else:
        failing = False

  def _rebuild(self, serving: Serving) -> None:
    """Builds the base index again in the background, one at a time."""
    if self._rebuilding is None or self._rebuilding.done():

      async def _rebuild() -> None:
        snapshot = await asyncio.to_thread(serving.live.rebuild)
        self._metrics.of_items(snapshot)

      self._rebuilding = asyncio.get_running_loop().create_task(_rebuild())


def _apply(
  serving: Serving, changes: Sequence[stores.Change], rest: pace.Rest
) -> None:
  for start in range(0, len(changes), AT_ONCE):
    part = changes[start : start + AT_ONCE]
    serving.live.apply(item_changes.known(serving.retriever, part))
    serving.live.number = part[-1].number
    rest()
