"""The stores of events and items: one contract, two implementations."""

import asyncio
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from pinrec_jax.serve import redis_store, sqlite_store, stores


@pytest.fixture(params=["sqlite", "redis"])
def make(request, tmp_path):
  """Returns the function that opens a store again and again."""
  if request.param == "sqlite":
    path = tmp_path / "store.sqlite"
    return lambda: sqlite_store.SqliteStore(path, max_events=5)
  address = request.getfixturevalue("redis_address")
  return lambda: redis_store.RedisStore(address, max_events=5)


def test_events_come_back_in_order_and_bounded(make):
  async def run():
    store = make()
    counts = [await store.append("u", [b"a", b"b"])]
    counts.append(await store.append("u", [b"c", b"d"]))
    await store.append("other", [b"x"])
    counts.append(await store.append("u", [b"e", b"f", b"g"]))
    found = [(await store.read(name)).events for name in ("u", "other")]
    await store.close()
    return counts, found, await _read_again(make, "u")

  counts, found, again = asyncio.run(run())
  assert counts == [2, 4, 5]
  assert found == [[b"c", b"d", b"e", b"f", b"g"], [b"x"]]
  assert again == found[0]


async def _read_again(make, user):
  store = make()
  found = await store.read(user)
  await store.close()
  return found.events


def test_a_deleted_user_is_gone(make):
  async def run():
    store = make()
    await store.append("u", [b"a", b"b"])
    await store.append("v", [b"c"])
    found = await store.delete("u"), await store.delete("nobody")
    await store.append("u", [b"d"])
    rest = await store.read("u"), await store.read("v")
    await store.close()
    return found, rest

  found, rest = asyncio.run(run())
  assert found == (2, 0)
  assert rest == (stores.Stored([b"d"], True), stores.Stored([b"c"]))


async def _changes(store, after=0):
  """Returns all changes after a number, page by page."""
  found = []
  while part := await store.changes(found[-1].number if found else after):
    assert len(part) <= stores.PAGE
    found += part
  numbers = [change.number for change in found]
  assert numbers == sorted({*numbers})
  return found


def test_items_keep_their_last_state_in_the_order_of_changes(make, monkeypatch):
  monkeypatch.setattr(stores, "PAGE", 3)

  async def run():
    store = make()
    await store.put_items([("a", b"1"), ("b", b"2"), ("c", b"3")])
    before = await _changes(store)
    await store.put_items([("a", b"3"), ("d", b"5"), ("a", b"4")])
    await store.close()
    store = make()
    found = await _changes(store), await _changes(store, before[-1].number)
    await store.close()
    return [[change[1:] for change in own] for own in (before, *found)]

  before, found, newer = asyncio.run(run())
  assert before == [("a", b"1"), ("b", b"2"), ("c", b"3")]
  assert found == [("b", b"2"), ("c", b"3"), ("d", b"5"), ("a", b"4")]
  assert newer == [("d", b"5"), ("a", b"4")]


def test_a_reader_misses_no_change_of_several_servers(redis_address):
  """Whoever reads from its last number ends with the latest states."""

  async def run():
    servers = [
      redis_store.RedisStore(redis_address, max_events=5) for _ in range(3)
    ]
    reader, seen, last = servers[0], {}, 0

    async def write(own, name):
      for n in range(40):
        state = f"{name} {n}".encode()
        await own.put_items([(f"i{n % 7}", state), (f"{name}{n}", state)])

    writing = asyncio.gather(*(write(s, n) for n, s in enumerate(servers)))
    while True:
      done = writing.done()
      found = await reader.changes(last)
      seen |= {change.item: change for change in found}
      last = found[-1].number if found else last
      if done and not found:
        break
    whole = {change.item: change for change in await _changes(reader)}
    for server in servers:
      await server.close()
    return seen, whole

  seen, whole = asyncio.run(run())
  assert len(whole) == 7 + 3 * 40
  assert seen == whole


def test_a_change_after_a_loss_has_a_new_number(redis_address):
  """A reader goes on above the numbers that a crash of Redis has lost."""

  async def run():
    store = redis_store.RedisStore(redis_address, max_events=5)
    await store.put_items([(f"i{n}", b"1") for n in range(50)])
    last = (await _changes(store))[-1].number
    await store._redis.flushdb()
    await store.put_items([("new", b"2")])
    found = await store.changes(last)
    await store.close()
    return found

  assert [change.item for change in asyncio.run(run())] == ["new"]


def test_writes_that_wait_share_a_transaction(tmp_path, monkeypatch):
  sizes = []
  commit = sqlite_store.SqliteStore._commit

  def counting(self, batch):
    sizes.append(len(batch))
    commit(self, batch)

  monkeypatch.setattr(sqlite_store.SqliteStore, "_commit", counting)

  async def run():
    store = sqlite_store.SqliteStore(tmp_path / "s.sqlite", max_events=500)
    await asyncio.gather(
      *(store.append(f"u{n % 7}", [b"x"]) for n in range(300))
    )
    lengths = [len((await store.read(f"u{n}")).events) for n in range(7)]
    await store.close()
    return lengths

  assert sum(asyncio.run(run())) == 300
  assert max(sizes) > 10


def test_one_bad_write_does_not_spoil_its_transaction(tmp_path):
  async def run():
    store = sqlite_store.SqliteStore(tmp_path / "s.sqlite", max_events=5)
    found = await asyncio.gather(
      store.append("u", [b"a"]),
      store.append("u", [object()]),  # pyright: ignore[reportArgumentType]
      store.append("v", [b"b"]),
      return_exceptions=True,
    )
    rest = [(await store.read(name)).events for name in ("u", "v")]
    await store.close()
    return found, rest

  found, rest = asyncio.run(run())
  assert isinstance(found[1], stores.StoreError)
  assert rest == [[b"a"], [b"b"]]


def test_two_servers_cannot_share_a_file(tmp_path):
  path = tmp_path / "s.sqlite"

  async def run():
    store = sqlite_store.SqliteStore(path, max_events=5)
    with pytest.raises(stores.StoreError, match="open in another process"):
      sqlite_store.SqliteStore(path, max_events=5)
    await store.close()
    await sqlite_store.SqliteStore(path, max_events=5).close()

  asyncio.run(run())


@pytest.mark.parametrize("content", [b"not a database" * 100, None])
def test_a_damaged_file_is_refused_with_a_remedy(tmp_path, content):
  path = tmp_path / "s.sqlite"

  async def fill():
    store = sqlite_store.SqliteStore(path, max_events=500)
    for n in range(50):
      await store.append(f"u{n}", [bytes(200)] * 5)
    await store.close()

  asyncio.run(fill())
  data = bytearray(path.read_bytes())
  if content is None:
    data[len(data) // 2 : len(data) // 2 + 6000] = b"\xff" * 6000
  path.write_bytes(content or bytes(data))
  with pytest.raises(stores.StoreError, match=r"damaged .* move it away"):
    sqlite_store.SqliteStore(path, max_events=5)


def test_a_full_disk_is_reported_and_reading_goes_on(tmp_path):
  async def run():
    store = sqlite_store.SqliteStore(tmp_path / "s.sqlite", max_events=9)
    await store.append("u", [b"a"])
    store._writer.execute("pragma max_page_count = 8")
    many = [store.append(f"u{n}", [bytes(4000)]) for n in range(50)]
    with pytest.raises(stores.ReadOnlyError, match="cannot be written"):
      await asyncio.gather(*many)
    assert not store.writable
    found = await store.read("u")
    store._writer.execute("pragma max_page_count = 100000")
    await store.append("u", [b"b"])
    assert store.writable
    await store.close()
    return found.events

  assert asyncio.run(run())[0] == b"a"


def test_a_redis_that_is_gone_is_reported():
  async def run():
    address = "redis://ann:secret@127.0.0.1:1/0?password=secret"
    store = redis_store.RedisStore(address, max_events=5)
    with pytest.raises(stores.StoreError, match="does not answer") as caught:
      await store.read("u")
    assert "redis://127.0.0.1:1/0 " in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(stores.ReadOnlyError):
      await store.append("u", [b"a"])
    assert not store.writable
    await store.close()

  asyncio.run(run())


WRITER = textwrap.dedent(
  """
  import asyncio, pathlib, sys
  from pinrec_jax.serve import sqlite_store

  async def main():
    path = pathlib.Path(sys.argv[1])
    store = sqlite_store.SqliteStore(path, max_events=10**6)

    async def write(n):
      await store.append(f"u{n % 5}", [str(n).encode()])
      print(n, flush=True)  # Acknowledged.

    n = int(sys.argv[2])
    while True:
      await asyncio.gather(*(write(n + k) for k in range(16)))
      n += 16

  asyncio.run(main())
  """
)


@pytest.mark.parametrize("seconds", [0.05, 0.2])
def test_a_killed_process_loses_no_acknowledged_event(tmp_path, seconds):
  path, acknowledged = tmp_path / "s.sqlite", []
  for turn in range(3):
    command = [sys.executable, "-c", WRITER, str(path), str(turn * 10**6)]
    with subprocess.Popen(
      command, stdout=subprocess.PIPE, text=True, cwd=pathlib.Path.cwd()
    ) as process:
      assert process.stdout is not None
      acknowledged.append(process.stdout.readline())
      time.sleep(seconds)
      os.kill(process.pid, signal.SIGKILL)
      acknowledged += process.stdout.read().splitlines()

  async def read():
    store = sqlite_store.SqliteStore(path, max_events=10**6)
    found = [e for n in range(5) for e in (await store.read(f"u{n}")).events]
    await store.close()
    return found

  found = {int(event) for event in asyncio.run(read())}
  whole = {int(line) for line in acknowledged if line.strip().isdigit()}
  assert len(whole) > 10
  assert whole <= found
