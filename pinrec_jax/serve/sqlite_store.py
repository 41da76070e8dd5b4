"""The embedded store: SQLite with a write-ahead log and group commits.

One thread writes. It puts everything that waits into one transaction, so that
many writes share the cost of one flush to disk.
"""

import asyncio
import concurrent.futures
import pathlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import apsw
import filelock

from pinrec_jax.serve import stores

FORMAT = "1"
MAX_COMMIT = 256  # Writes in one transaction.
# Seconds that a write waits for others. Every commit takes the interpreter from
# the requests, so few large ones disturb them less than many small ones.
GATHER = 0.02
TABLES = """
create table if not exists meta (key text primary key, value text);
create table if not exists events (
  user text, number integer, event blob, primary key (user, number)
) without rowid;
create table if not exists forgotten (user text primary key) without rowid;
create table if not exists items (
  item text primary key, state blob, number integer
) without rowid;
create index if not exists changes on items (number);
"""

_Write = Callable[[apsw.Connection], Any]


class SqliteStore:
  """A store in one file, for one process."""

  def __init__(self, path: pathlib.Path, *, max_events: int) -> None:
    """Opens the store, or makes it.

    Args:
      path: of the file.
      max_events: events that are kept of each user.

    Raises:
      StoreError: if another process has it open, or it is damaged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    self._path, self._max_events = path, max_events
    self._lock = filelock.FileLock(f"{path}.lock")
    try:
      self._lock.acquire(blocking=False)
    except filelock.Timeout:
      raise stores.StoreError(
        f"the store {path} is open in another process; stop that server, or "
        "choose another --config.serve.store"
      ) from None
    try:
      self._writer = self._open()
      self._reader = apsw.Connection(str(path))
    except apsw.Error as error:
      self._lock.release()
      raise stores.StoreError(
        f"the store {path} is damaged or cannot be written ({error}); move it "
        "away to start with an empty one, or restore it from a backup"
      ) from error
    self.shared, self.writable = False, True
    self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    self._thread = threading.Thread(target=self._write, name="store")
    self._thread.start()

  def _open(self) -> apsw.Connection:
    """Returns the writing connection, its tables made and checked."""
    connection = apsw.Connection(str(self._path))
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    if (found := connection.execute("pragma quick_check(1)").get) != "ok":
      raise apsw.CorruptError(str(found).splitlines()[-1])
    connection.execute(TABLES)
    connection.execute(
      "insert or ignore into meta values ('format', ?)", (FORMAT,)
    )
    query = "select value from meta where key = 'format'"
    found = connection.execute(query).get
    if found != FORMAT:
      raise apsw.MismatchError(f"its format is {found}, not {FORMAT}")
    return connection

  async def append(self, user: str, events: Sequence[bytes]) -> int:
    """Adds a user's events and returns how many the user has now."""

    def _write(connection: apsw.Connection) -> Any:
      query = "select coalesce(max(number), 0) from events where user = ?"
      last: Any = connection.execute(query, (user,)).get
      connection.executemany(
        "insert into events values (?, ?, ?)",
        [(user, last + n, event) for n, event in enumerate(events, start=1)],
      )
      oldest = last + len(events) - self._max_events
      connection.execute(
        "delete from events where user = ? and number <= ?", (user, oldest)
      )
      query = "select count(*) from events where user = ?"
      return connection.execute(query, (user,)).get

    return await self._submit(_write)

  async def read(self, user: str) -> stores.Stored:
    """Returns a user's events."""
    query = "select event from events where user = ? order by number"
    forgotten = "select count(*) from forgotten where user = ?"
    try:
      return stores.Stored(
        [event for (event,) in self._reader.execute(query, (user,))],
        bool(self._reader.execute(forgotten, (user,)).get),
      )
    except apsw.Error as error:
      raise stores.StoreError(
        f"{self._path} cannot be read: {error}"
      ) from error

  async def delete(self, user: str) -> int:
    """Deletes a user's events for good and returns how many there were."""

    def _write(connection: apsw.Connection) -> int:
      connection.execute("delete from events where user = ?", (user,))
      deleted = connection.changes()
      connection.execute("insert or ignore into forgotten values (?)", (user,))
      return deleted

    return await self._submit(_write)

  async def put_items(self, states: Sequence[tuple[str, bytes]]) -> None:
    """Stores the states of changed items, in order."""

    def _write(connection: apsw.Connection) -> None:
      query = "select coalesce(max(number), 0) from items"
      last: Any = connection.execute(query).get
      connection.executemany(
        "insert or replace into items values (?, ?, ?)",
        [(*state, last + n) for n, state in enumerate(states, start=1)],
      )

    await self._submit(_write)

  async def changes(self, after: int) -> list[stores.Change]:
    """Returns the oldest changes after a number."""
    query = (
      "select number, item, state from items where number > ? "
      "order by number limit ?"
    )
    try:
      rows = self._reader.execute(query, (after, stores.PAGE))
      return [stores.Change(*row) for row in rows]
    except apsw.Error as error:
      raise stores.StoreError(
        f"{self._path} cannot be read: {error}"
      ) from error

  async def close(self) -> None:
    """Finishes all writes and closes the file."""
    self._waiting.put(None)
    await asyncio.to_thread(self._thread.join)
    self._reader.close()
    self._writer.close()
    self._lock.release()

  async def _submit(self, write: _Write) -> Any:
    """Returns the result of a write, once it is on disk."""
    future: concurrent.futures.Future = concurrent.futures.Future()
    self._waiting.put((write, future))
    return await asyncio.wrap_future(future)

  def _write(self) -> None:
    """Commits what is waiting, again and again, until the store is closed."""
    while True:
      batch = [self._waiting.get()]
      if batch[0] is not None:
        time.sleep(GATHER)
      while len(batch) < MAX_COMMIT and not self._waiting.empty():
        batch.append(self._waiting.get())
      if writes := [entry for entry in batch if entry is not None]:
        self._commit(writes)
      if None in batch:
        return

  def _commit(self, batch: list[tuple[_Write, Any]]) -> None:
    """Runs writes in one transaction and reports to those who wait."""
    results = []
    try:
      with self._writer:
        results += [write(self._writer) for write, _ in batch]
    except Exception as error:
      if len(batch) > 1:  # Only the write at fault fails.
        for entry in batch:
          self._commit([entry])
        return
      self.writable = False
      batch[0][1].set_exception(
        stores.ReadOnlyError(
          f"{self._path} cannot be written ({error}); free some space, or "
          "repair the disk"
        )
      )
      return
    self.writable = True
    for (_, future), result in zip(batch, results, strict=True):
      future.set_result(result)
