"""Redis, servers and a proxy, each in a process of its own."""

import asyncio
import contextlib
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import time
from typing import Any

import served

FOLDER = pathlib.Path(__file__).parent.parent / "launch" / "serve"
FILES = {"nginx": FOLDER / "nginx.conf", "haproxy": FOLDER / "haproxy.cfg"}
FRONT, BACKENDS = "127.0.0.1:8000", ("127.0.0.1:8001", "127.0.0.1:8002")
WATCH = 1  # Seconds between two looks at the pointer to the current bundle.
WAIT = 10.0  # Seconds until a program listens.


def free_port() -> int:
  """Returns a port that no program uses."""
  with socket.create_server(("127.0.0.1", 0)) as found:
    return found.getsockname()[1]


def _listens(port: int) -> None:
  """Waits until a program listens on a port.

  Raises:
    TimeoutError: if none does.
  """
  deadline = time.monotonic() + WAIT
  while time.monotonic() < deadline:
    try:
      socket.create_connection(("127.0.0.1", port), timeout=1).close()
      return
    except OSError:
      time.sleep(0.02)
  raise TimeoutError(f"no program listens on port {port}")


class Redis:
  """A Redis that has every change on disk before it answers."""

  def __init__(self, folder: pathlib.Path) -> None:
    self._folder, self.port = folder, free_port()
    self.address = f"redis://127.0.0.1:{self.port}/0"
    self.start()

  def start(self) -> None:
    """Starts it, with all that is on disk."""
    command = [
      "redis-server", "--port", str(self.port), "--dir", str(self._folder),
      "--appendonly", "yes", "--appendfsync", "always", "--save", "",
    ]  # fmt: skip
    self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _listens(self.port)

  def stop(self, signal_number: int = signal.SIGTERM) -> None:
    """Ends it by a signal."""
    self.process.send_signal(signal_number)
    self.process.wait(30)


class Proxy:
  """nginx or HAProxy in front of two servers."""

  def __init__(
    self, kind: str, folder: pathlib.Path, backends: tuple[str, str]
  ) -> None:
    """Starts it.

    Args:
      kind: nginx or haproxy.
      folder: for its files.
      backends: HOST:PORT of each server.
    """
    self.port = free_port()
    text = FILES[kind].read_text("utf-8")
    own = zip((FRONT, *BACKENDS), (f"127.0.0.1:{self.port}", *backends),
              strict=True)  # fmt: skip
    for before, after in own:
      text = text.replace(before, after)
    path = folder / FILES[kind].name
    path.write_text(text, "utf-8")
    flags = {
      "nginx": ["-p", str(folder), "-c", str(path), "-g", "daemon off;"],
      "haproxy": ["-f", str(path)],
    }
    self.process = subprocess.Popen([program(kind), *flags[kind]])
    _listens(self.port)

  def stop(self) -> None:
    """Ends it."""
    self.process.terminate()
    self.process.wait(30)


class Fleet:
  """Redis, two servers and a proxy."""

  def __init__(
    self, config: str, workdir: pathlib.Path, proxy: str, folder: pathlib.Path
  ) -> None:
    self.workdir, self._config, self._folder = workdir, config, folder
    self._redis = Redis(folder)
    self._ports = [free_port() for _ in range(2)]
    self.servers = [self._start(n) for n in range(2)]
    backends = (f"127.0.0.1:{self._ports[0]}", f"127.0.0.1:{self._ports[1]}")
    self.proxy = Proxy(proxy, folder, backends)

  def _start(self, place: int) -> served.Server:
    return served.Server(
      self._config, self.workdir,
      f"--config.serve.port={self._ports[place]}",
      f"--config.serve.store={self._redis.address}",
      f"--config.serve.watch_seconds={WATCH}",
    )  # fmt: skip

  async def get(self, place: int, path: str) -> tuple[int, Any]:
    """Returns the status and the answer of one server; 0 if it is gone."""
    server = self.servers[place]
    try:
      with contextlib.closing(
        served.Client(server.host, server.port)
      ) as client:
        status, content = await client.call("GET", path)
    except (OSError, EOFError):
      return 0, None
    return status, json.loads(content)

  async def ready(self, place: int) -> None:
    """Waits until a server answers."""
    while (await self.get(place, "/readyz"))[0] != 200:
      if self.servers[place].process.poll() is not None:
        raise RuntimeError(f"server {place} ended")
      await asyncio.sleep(0.1)

  async def again(self, place: int, signal_number: int) -> None:
    """Ends a server by a signal and starts it again."""
    await asyncio.to_thread(self.servers[place].stop, signal_number)
    self.servers[place] = self._start(place)
    await self.ready(place)

  def repeated(self) -> int:
    """Returns how many calls nginx has repeated on another server."""
    log = self._folder / "repeated.log"
    return len(log.read_text("utf-8").splitlines()) if log.exists() else 0

  def stop(self) -> None:
    """Ends all processes."""
    self.proxy.stop()
    for server in self.servers:
      server.stop()
    self._redis.stop()


def program(kind: str) -> str:
  """Returns the path of a program; "" if it is not installed."""
  return shutil.which(kind, path="/usr/sbin:/usr/local/sbin:/usr/bin") or ""
