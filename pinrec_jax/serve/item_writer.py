"""The one writer of the live items: check, store, then make searchable."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec

from pinrec_jax.serve import item_changes, metrics, snapshots, stores
from pinrec_jax.serve import serving as serving_lib

MAX_CHANGES = 256  # Changes that are applied together.
REST = 0.05  # Seconds between the parts of stored changes during a swap.
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
    self._since: list[tuple[str, bytes]] | None = None  # Changes in a swap.
    self._task: asyncio.Task | None = None
    self._rebuilding: asyncio.Task | None = None

  def start(self) -> None:
    """Begins to apply changes; call it inside the event loop."""
    self._task = asyncio.get_running_loop().create_task(self._run())

  async def stop(self) -> None:
    """Applies all changes that wait, then ends."""
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

  async def replay(self, serving: Serving, rest: float = 0.0) -> None:
    """Applies all stored changes to a bundle that is not served yet.

    Args:
      serving: the bundle.
      rest: seconds to wait after some changes, for requests to another bundle.
    """
    part: list[tuple[str, bytes]] = []
    async for change in self._store.items():
      part.append(change)
      if len(part) == MAX_CHANGES:
        await _apply_known(serving, part)
        await asyncio.sleep(rest)
        part = []
    await _apply_known(serving, part)

  async def swap(
    self, serving: Serving, use: Callable[[], Awaitable[None]]
  ) -> None:
    """Brings a bundle up to date, then makes it the one that is served.

    Args:
      serving: the new bundle.
      use: makes it the one that is served; no change is applied meanwhile.
    """
    self._since = []
    try:
      await self.replay(serving, REST)
      async with self._lock:
        await _apply_known(serving, self._since)
        await use()
    finally:
      self._since = None

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
    checked, valid = [], []
    for entry in batch:
      try:
        own = item_changes.check(serving.retriever, entry.item, entry.state)
      except (ValueError, OverflowError) as error:
        entry.done.set_exception(ValueError(str(error)))
      else:
        checked.append(own)
        valid.append(entry)
    if not valid:
      return
    try:
      changes = await asyncio.to_thread(
        item_changes.embed, serving.retriever, checked
      )
      stored = [(e.item, msgspec.json.encode(e.state)) for e in valid]
      await self._store.put_items(stored)
      if self._since is not None:
        self._since += stored
      snapshot = await asyncio.to_thread(serving.live.apply, changes)
    except Exception as error:
      for entry in valid:
        if not entry.done.done():
          entry.done.set_exception(error)
      return
    for entry in valid:
      if not entry.done.done():
        entry.done.set_result(snapshot)
    self._metrics.of_items(snapshot)
    added = len(snapshot.place_rows) - snapshot.base
    if added > MAX_ADDED or snapshot.dead > MAX_DEAD * snapshot.base:
      self._rebuild(serving)

  def _rebuild(self, serving: Serving) -> None:
    """Builds the base index again in the background, one at a time."""
    if self._rebuilding is None or self._rebuilding.done():

      async def _rebuild() -> None:
        snapshot = await asyncio.to_thread(serving.live.rebuild)
        self._metrics.of_items(snapshot)

      self._rebuilding = asyncio.get_running_loop().create_task(_rebuild())


async def _apply_known(
  serving: Serving, part: Sequence[tuple[str, bytes]]
) -> None:
  def _apply() -> None:
    serving.live.apply(item_changes.known(serving.retriever, part))

  if part:
    await asyncio.to_thread(_apply)
