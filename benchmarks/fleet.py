"""Redis and a proxy in processes of their own, for several servers."""

import pathlib
import shutil
import signal
import socket
import subprocess
import time

CONFIGS = pathlib.Path(__file__).parent.parent / "launch" / "serve"
FRONT, BACKENDS = "127.0.0.1:8000", ("127.0.0.1:8001", "127.0.0.1:8002")
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
    names = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}
    text = (CONFIGS / names[kind]).read_text("utf-8")
    own = zip((FRONT, *BACKENDS), (f"127.0.0.1:{self.port}", *backends),
              strict=True)  # fmt: skip
    for before, after in own:
      text = text.replace(before, after)
    path = folder / names[kind]
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


def program(kind: str) -> str:
  """Returns the path of a program; "" if it is not installed."""
  return shutil.which(kind, path="/usr/sbin:/usr/local/sbin:/usr/bin") or ""
