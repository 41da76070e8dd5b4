"""The stores of events and items: one contract, two implementations."""

import asyncio
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from pinrec_jax.serve import redis_store, sqlite_store, stores


@pytest.fixture(scope="session")
def redis_address(tmp_path_factory):
  """A real Redis that flushes every write; skipped where there is none."""
  if shutil.which("redis-server") is None:
    pytest.skip("redis-server is not installed")
  with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
  folder = tmp_path_factory.mktemp("redis")
  command = ["redis-server", "--port", str(port), "--dir", str(folder),
             "--appendonly", "yes", "--appendfsync", "always"]  # fmt: skip
  server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
  for _ in range(100):
    try:
      socket.create_connection(("127.0.0.1", port), timeout=1).close()
      break
    except OSError:
      time.sleep(0.05)
  yield f"redis://127.0.0.1:{port}/0"
  server.terminate()
  server.wait()


@pytest.fixture(params=["sqlite", "redis"])
def make(request, tmp_path):
  """Returns the function that opens a store again and again."""
  if request.param == "sqlite":
    path = tmp_path / "store.sqlite"
    return lambda: sqlite_store.SqliteStore(path, max_events=5)
  address = request.getfixturevalue("redis_address")

  async def empty():
    store = redis_store.RedisStore(address, max_events=5)
    await store._redis.flushdb()
    await store.close()

  asyncio.run(empty())
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


def test_items_keep_their_last_state_in_the_order_of_changes(make):
  async def run():
    store = make()
    await store.put_items([("a", b"1"), ("b", b"2"), ("c", b"3")])
    await store.put_items([("a", b"3"), ("d", b"5"), ("a", b"4")])
    await store.close()
    store = make()
    found = [pair async for pair in store.items()]
    await store.close()
    return found

  assert asyncio.run(run()) == [
    ("b", b"2"), ("c", b"3"), ("d", b"5"), ("a", b"4"),
  ]  # fmt: skip


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
    store = redis_store.RedisStore("redis://127.0.0.1:1/0", max_events=5)
    with pytest.raises(stores.StoreError, match="does not answer"):
      await store.read("u")
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
