"""Servers that share a store apply each other's changes of items."""

import asyncio
import contextlib
import random
import signal
import time

import msgspec
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.inference import engine
from pinrec_jax.serve import (
  item_changes,
  item_writer,
  live_items,
  messages,
  metrics,
  redis_store,
  serving,
  sqlite_store,
  stores,
)

STATED = 1.0  # Seconds in which a change is found on all servers.
DELETED = item_changes.ItemState(deleted=True)
STATE = msgspec.json.encode(
  item_changes.ItemState(item=messages.NewItem(title="a chair"))
)


@pytest.fixture(scope="module")
def retriever(untrained_once):
  return engine.Retriever(untrained_once(True, 0))


class Server:
  """The items of a server, without calls."""

  def __init__(self, retriever, store):
    self._retriever, self._store = retriever, store
    self.serving = self.loaded()
    self.writer = item_writer.ItemWriter(
      store, lambda: self.serving, metrics.Metrics()
    )

  def loaded(self):
    """Returns a bundle without any change."""
    own, live = self._retriever, live_items.LiveItems(self._retriever.bundle)
    return serving.Serving(own, live, own.reader.defaults(), config_lib.Serve())

  def items(self):
    """Returns what this server knows of the items that were added, by id."""
    found = self.serving.live.snapshot
    return {
      name: (found.title(row), found.vectors(np.array(row)).tolist())
      for name, row in found.row_of.items()
      if name.startswith("new") and found.place(row) >= 0
    }

  async def put(self, item, title="", **fields):
    given = messages.NewItem(title=title, **fields)
    return await self.writer.write(item, item_changes.ItemState(item=given))

  async def until(self, holds):
    """Waits until something holds, and returns the seconds."""
    began = time.monotonic()
    while not holds():
      assert time.monotonic() - began < 30
      await asyncio.sleep(0.01)
    return time.monotonic() - began


@pytest.fixture
def serve(retriever):
  """Returns the function that starts servers on one Redis."""

  @contextlib.asynccontextmanager
  async def started(address, number):
    servers = []
    for _ in range(number):
      store = redis_store.RedisStore(address, max_events=5)
      servers.append(Server(retriever, store))
      await servers[-1].writer.replay(servers[-1].serving)
      servers[-1].writer.start()
    try:
      yield servers
    finally:
      for server in servers:
        await server.writer.stop()
        await server._store.close()

  return started


def test_a_change_is_found_on_the_other_servers(redis_address, serve):
  async def run():
    async with serve(redis_address, 2) as (one, other):
      await one.put("new", "a chair", features={"author": "a1"})
      assert one.items()  # At once where it was made.
      waited = [await other.until(lambda: "new" in other.items())]
      assert one.items() == other.items()
      await other.writer.write("new", DELETED)
      assert not other.items()
      waited.append(await one.until(lambda: not one.items()))
      await one.writer.write("103", DELETED)
      place = one.serving.live.snapshot
      await other.until(
        lambda: other.serving.live.snapshot.count == place.count
      )
      return waited

  # Twice the stated time, because tests run beside each other.
  assert max(asyncio.run(run())) < 2 * STATED


def test_all_servers_end_with_the_last_state_of_every_item(
  redis_address, serve
):
  """They change the same items at the same time; one starts late."""

  async def run():
    draw = random.Random(0)
    async with serve(redis_address, 2) as servers:

      async def change(server, name):
        for n in range(60):
          item = f"new{draw.randrange(5)}"
          if draw.random() < 0.3:
            await server.writer.write(item, DELETED)
          else:
            await server.put(item, f"{name} {n}")

      await asyncio.gather(*(change(s, n) for n, s in enumerate(servers)))
      async with serve(redis_address, 1) as (late,):
        last = late.serving.live.number
        for server in servers:
          own = server.serving.live
          await server.until(lambda own=own: own.number == last)
        return [server.items() for server in (*servers, late)]

  one, other, late = asyncio.run(run())
  assert late
  assert one == other == late


def test_a_bundle_that_is_swapped_in_has_all_changes(
  redis_address, serve, monkeypatch
):
  """Also those that this server and others make while it is brought up."""
  monkeypatch.setattr(stores, "PAGE", 2)

  async def run():
    async with serve(redis_address, 2) as (one, other):
      for n in range(6):
        await other.put(f"new{n}")
      fresh = one.loaded()

      async def use():
        one.serving = fresh

      swapping = asyncio.create_task(one.writer.swap(fresh, use))
      await asyncio.gather(one.put("newer", "own"), other.put("new0", "again"))
      await swapping
      assert one.serving is fresh
      await one.until(lambda: one.items() == other.items())
      return one.items()

  assert len(asyncio.run(run())) == 7


def test_a_restart_of_redis_loses_nothing_and_is_caught_up(make_redis, serve):
  server = make_redis()

  async def run():
    async with serve(server.address, 2) as (one, other):
      await one.put("new0")
      await other.until(lambda: "new0" in other.items())
      assert other.writer.lag < STATED
      server.stop(signal.SIGKILL)
      with pytest.raises(stores.StoreError, match="does not answer"):
        await one.put("new1")
      await other.until(lambda: other.writer.lag > 5 * item_writer.LOOK)
      server.start()
      await one.put("new2")
      await other.until(lambda: "new2" in other.items())
      await other.until(lambda: other.writer.lag < STATED)
      assert {"new0", "new2"} <= {*other.items()}
      assert one.items() == other.items()

  asyncio.run(run())


def test_one_server_on_sqlite_follows_nobody(retriever, tmp_path):
  async def run():
    store = sqlite_store.SqliteStore(tmp_path / "store", max_events=5)
    one = Server(retriever, store)
    one.writer.start()
    assert one.writer._following is None
    await one.put("new", "a chair")
    assert [*one.items()] == ["new"]
    assert one.writer.lag == 0
    await one.writer.stop()
    await store.close()

  asyncio.run(run())


def test_stored_changes_rest_after_each_part(tmp_path, retriever):
  """A swap calls it so that requests to the other bundle stay fast."""
  number, rests = 2 * item_writer.AT_ONCE + 1, []

  async def run():
    store = sqlite_store.SqliteStore(tmp_path / "store", max_events=5)
    await store.put_items([(f"new{n}", STATE) for n in range(number)])
    server = Server(retriever, store)
    await server.writer.replay(server.serving, lambda: rests.append(None))
    await store.close()
    return server

  server = asyncio.run(run())
  assert len(rests) == 3
  assert len(server.items()) == number
