"""What the server does, apart from HTTP."""

import asyncio
import pathlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from pinrec_jax import config as config_lib
from pinrec_jax.data import schema
from pinrec_jax.inference import (
  answers,
  bundle_folders,
  request_events,
  requests,
  wire,
)
from pinrec_jax.serve import (
  batcher,
  explain,
  item_changes,
  item_writer,
  messages,
  metrics,
  stores,
  user_histories,
)
from pinrec_jax.serve import serving as serving_lib
from pinrec_jax.serve.errors import RefusedError

SKEW_EVERY = 100  # Stored histories of which one is compared with training.
DAY = 86_400  # Seconds that an event may lie in the future.
EXPLAINED = 4  # Requests that are explained at once.

_Result = TypeVar("_Result")


class _Entry(NamedTuple):
  """A request that waits, with the bundle that read it."""

  serving: serving_lib.Serving
  request: requests.Request


class Service:
  """One bundle after another, with live items and stored events."""

  def __init__(
    self,
    config: config_lib.Config,
    folder: pathlib.Path,
    store: stores.Store,
    *,
    twin: pathlib.Path | None = None,
  ) -> None:
    """Sets up the service; `start` loads the bundle.

    Args:
      config: of decoding, the index and the server.
      folder: of the bundles.
      store: of events and changed items.
      twin: folder of the bundles of the unconditioned twin, for comparison.
    """
    self.config, self.metrics = config, metrics.Metrics()
    self._folder, self._store, self._twin_folder = folder, store, twin
    self._serving: serving_lib.Serving | None = None
    self._twin: explain.Twin | None = None
    self._previous: str | None = None
    self._swapping = asyncio.Lock()
    self._explaining = asyncio.Semaphore(EXPLAINED)
    self._histories, self._last_time = 0, 0
    own = config.serve
    self._batcher: batcher.Batcher[_Entry, Any] = batcher.Batcher(
      self._answer,
      max_batch=own.max_batch,
      max_queue=own.max_queue,
      max_wait=own.max_wait_ms / 1000,
      observe=self.metrics.observe,
    )
    self._writer = item_writer.ItemWriter(
      store, lambda: self.serving, self.metrics
    )

  @property
  def serving(self) -> serving_lib.Serving:
    """The bundle that is served.

    Raises:
      RefusedError: if none is ready yet.
    """
    if self._serving is None:
      raise RefusedError(
        503, "the server is loading the bundle; try again", retry_after="5"
      )
    return self._serving

  @property
  def ready(self) -> bool:
    """Whether requests are answered."""
    return self._serving is not None

  async def start(self) -> None:
    """Loads the current bundle and applies all stored changes.

    Raises:
      FileNotFoundError: if there is no bundle.
      ValueError: if it is damaged.
    """
    first = await _in_thread(
      lambda: serving_lib.load(self._folder, self.config)
    )
    if self._twin_folder is not None:
      own = self._twin_folder
      self._twin = await _in_thread(lambda: explain.load_twin(own, self.config))
    await self._writer.replay(first)
    self._use(first)
    self._batcher.start()
    self._writer.start()

  async def stop(self) -> None:
    """Answers what is waiting, then closes the store."""
    self.metrics.ready.set(0)
    await self._batcher.stop()
    await self._writer.stop()
    await self._store.close()

  def _use(self, new: serving_lib.Serving) -> None:
    if self._serving is not None:
      self._previous = self._serving.version
    self._serving = new
    self.metrics.of_bundle(new.version, new.bundle.provenance.step)
    self.metrics.of_items(new.live.snapshot)
    self.metrics.ready.set(1)

  # Requests.

  async def retrieve(
    self, body: bytes, deadline: float, name: str = ""
  ) -> answers.Answer | answers.Failure:
    """Returns the answer to one request.

    Args:
      body: the request as JSON.
      deadline: time of `time.monotonic` after which the answer is useless.
      name: of the request, for errors.

    Raises:
      RefusedError: if the server is too busy, too slow, or lacks its store.
    """
    began = time.monotonic()
    entry = await self._read(body, name)
    self.metrics.observe("parse", time.monotonic() - began)
    if isinstance(entry, answers.Failure):
      self.metrics.requests.labels("invalid").inc()
      return entry
    try:
      found = await self._batcher.submit(entry, deadline)
    except batcher.QueueFullError:
      self.metrics.requests.labels("queue full").inc()
      raise RefusedError(
        429, "too many requests are waiting; try again later", retry_after="1"
      ) from None
    except batcher.DeadlineExceededError:
      self.metrics.requests.labels("deadline").inc()
      raise RefusedError(
        504, "the deadline of the request has passed; allow more time"
      ) from None
    except Exception:
      self.metrics.requests.labels("error").inc()
      raise
    self.metrics.requests.labels("answered").inc()
    self.metrics.observe("total", time.monotonic() - began)
    return found

  async def _read(self, body: bytes, name: str) -> _Entry | answers.Failure:
    """Returns a checked request with the bundle that read it."""
    current = self.serving
    given = requests.decode(body, name)
    if isinstance(given, answers.Failure):
      return given
    known, stored = None, None
    if given.fields.events is None:
      stored = await self._stored(given.user)
      known = _known(current, given.user, stored)
    parsed = current.read(given, known)
    if isinstance(parsed, answers.Failure):
      return parsed
    if stored is not None and stored.events and known is not None:
      self._histories += 1
      if self._histories % SKEW_EVERY == 1:
        again = user_histories.merged(
          current.bundle, current.live.snapshot, given.user, stored
        )
        same = user_histories.is_as_trained(parsed, again, current.bundle)
        self.metrics.skew.labels("equal" if same else "different").inc()
    return _Entry(current, parsed)

  def _answer(self, entries: Sequence[_Entry]) -> list[Any]:
    """Answers a batch, each request by the bundle that read it."""
    groups: dict[int, list[int]] = {}
    for place, entry in enumerate(entries):
      groups.setdefault(id(entry.serving), []).append(place)
    found: list[Any] = [None] * len(entries)
    for places in groups.values():
      own = entries[places[0]].serving
      listed = own.answer(
        [entries[place].request for place in places], self.metrics.observe
      )
      for place, answer in zip(places, listed, strict=True):
        found[place] = answer
    self.metrics.queue.set(len(self._batcher))
    return found

  async def explain(self, body: bytes) -> dict[str, Any]:
    """Returns an answer with all that the page shows of it.

    Raises:
      RefusedError: if the server is too busy.
      ValueError: if the request is invalid.
    """
    entry = await self._read(body, "")
    if isinstance(entry, answers.Failure):
      raise ValueError(entry.error)
    if self._explaining.locked():
      raise RefusedError(429, "the server is busy; try again", retry_after="1")
    async with self._explaining:
      return await asyncio.to_thread(
        explain.explain, entry.serving, entry.request, body, self._twin
      )

  def info(self) -> dict[str, Any]:
    """Returns what a client can ask for."""
    return explain.info(self.serving)

  # Users.

  async def append(self, user: str, body: bytes) -> messages.Stored:
    """Stores events of a user.

    Raises:
      RefusedError: if they cannot be stored.
      ValueError: naming the event and the field at fault.
    """
    user = wire.id_text(user, "user")
    events = wire.decode_as(messages.NewEvents, body).events
    own = self.serving
    if not 1 <= len(events) <= self.config.serve.max_events:
      raise ValueError(
        f"events has {len(events)} entries; send 1 to "
        f"{self.config.serve.max_events} at once"
      )
    now = self._now()
    for place, event in enumerate(events):
      if event.time is None:
        event.time = now
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
    total = await self._write(self._store.append(user, encoded))
    self.metrics.events.inc(len(events))
    return messages.Stored(user, len(events), total)

  async def history(self, user: str) -> messages.History:
    """Returns the history of a user.

    Raises:
      RefusedError: if the store cannot be read.
    """
    own, user = self.serving, wire.id_text(user, "user")
    stored = await self._stored(user)
    known = _known(own, user, stored) or own.now().reader.known(user)
    if known is None:
      return messages.History(user, [], 0, {})
    events, items = explain.history(own, known)
    return messages.History(user, events, len(stored.events), items)

  async def forget(self, user: str) -> messages.Stored:
    """Deletes a user's events for good.

    Raises:
      RefusedError: if they cannot be deleted.
    """
    user = wire.id_text(user, "user")
    return messages.Stored(user, await self._write(self._store.delete(user)), 0)

  def _now(self) -> int:
    """Returns unix seconds that never fall, even if the clock is set back."""
    self._last_time = max(self._last_time, int(time.time()))
    return self._last_time

  async def _stored(self, user: str) -> stores.Stored:
    try:
      return await self._store.read(user)
    except stores.StoreError as error:
      raise RefusedError(503, str(error)) from error

  async def _write(self, writing: Any) -> Any:
    """Waits for a write to the store."""
    try:
      return await writing
    except stores.StoreError as error:
      raise RefusedError(503, str(error)) from error
    finally:
      self.metrics.store_writable.set(self._store.writable)

  # Items.

  async def put_item(self, item: str, body: bytes) -> messages.Changed:
    """Adds or replaces an item.

    Raises:
      RefusedError: if it cannot be stored.
      ValueError: naming the field at fault.
    """
    given = wire.decode_as(messages.NewItem, body or b"{}")
    state = item_changes.ItemState(item=given, bundle=self.serving.version)
    return await self._change(item, state, "put")

  async def delete_item(self, item: str) -> messages.Changed:
    """Deletes an item.

    Raises:
      RefusedError: if there is none, or the deletion cannot be stored.
    """
    text = wire.id_text(item, "item")
    snapshot = self.serving.live.snapshot
    row = snapshot.row_of.get(text)
    places = snapshot.place_of
    if row is None or row >= len(places) or places[row] < 0:
      raise RefusedError(404, f"there is no item {text!r}")
    return await self._change(
      item, item_changes.ItemState(deleted=True), "delete"
    )

  async def _change(
    self, item: str, state: item_changes.ItemState, kind: str
  ) -> messages.Changed:
    text = wire.id_text(item, "item")
    snapshot = await self._write(self._writer.write(text, state))
    self.metrics.upserts.labels(kind).inc()
    return messages.Changed(text, snapshot.count, snapshot.version)

  async def items(self, query: str, limit: int, after: int) -> messages.Items:
    """Returns a page of the items that match a text."""
    own = self.serving
    return await asyncio.to_thread(
      explain.items, own.live.snapshot, own.bundle, query, limit, after
    )

  # Bundles.

  def served(self) -> messages.Served:
    """Returns what is served."""
    own = self.serving
    return messages.Served(
      own.version,
      own.bundle.provenance.step,
      own.live.snapshot.version,
      own.live.snapshot.count,
      bundle_folders.versions(self._folder),
      self._previous,
    )

  async def swap(self, body: bytes) -> messages.Served:
    """Serves another bundle, once it is loaded and warm.

    Raises:
      RefusedError: if there is no such bundle, or another swap is going on.
      ValueError: if it is damaged. The old one stays.
    """
    given = wire.decode_as(messages.Swap, body or b"{}")
    before = self.serving.version
    if self._swapping.locked():
      raise RefusedError(409, "another bundle is being loaded; wait for it")
    async with self._swapping:
      known = bundle_folders.versions(self._folder)
      if given.version is not None and given.version not in known:
        raise RefusedError(
          404,
          f"there is no bundle {given.version!r} beside {before!r}; choose "
          f"from {', '.join(known)}",
        )
      folder = self._folder / (given.version or "")
      new = await _in_thread(lambda: serving_lib.load(folder, self.config))

      async def use() -> None:
        self._use(new)

      await self._writer.swap(new, use)
      bundle_folders.set_current(self._folder, new.version)
    return self.served()


def _known(
  own: serving_lib.Serving, user: str, stored: stores.Stored
) -> requests.History | None:
  """Returns a user's history; None if nothing is stored."""
  if not stored.events and not stored.forgotten:
    return None
  return user_histories.merged(own.bundle, own.live.snapshot, user, stored)


async def _in_thread(function: Callable[[], _Result]) -> _Result:
  """Runs a function in a thread that does not delay the process's end."""
  loop = asyncio.get_running_loop()
  future: asyncio.Future[_Result] = loop.create_future()

  def finish(result: Any, error: BaseException | None) -> None:
    if not future.done():
      if error is not None:
        future.set_exception(error)
      else:
        future.set_result(result)

  def run() -> None:
    result, error = None, None
    try:
      result = function()
    except BaseException as caught:
      error = caught
    loop.call_soon_threadsafe(finish, result, error)

  threading.Thread(target=run, daemon=True, name="load").start()
  return await future
