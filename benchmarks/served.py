"""A server in a process of its own, and a client of it, for benchmarks."""

import asyncio
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any


class Server:
  """A server in a process of its own."""

  def __init__(self, config: str, workdir: pathlib.Path, *flags: str) -> None:
    command = [
      sys.executable, "-m", "pinrec_jax.main", f"--config={config}",
      f"--workdir={workdir}", "--mode=serve", "--config.serve.port=0",
      f"--config.serve.store={workdir}/benchmark-{os.getpid()}.sqlite", *flags,
    ]  # fmt: skip
    self.began = time.monotonic()
    self.process = subprocess.Popen(
      command, stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert self.process.stdout is not None
    line = self.process.stdout.readline()
    self.host, _, port = line.strip().rpartition("//")[2].partition(":")
    self.port = int(port)

  def memory(self) -> float:
    """Returns the resident memory in MB."""
    status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text("utf-8")
    line = next(x for x in status.splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024

  def stop(self, signal_number: int = signal.SIGTERM) -> None:
    """Ends the server by a signal."""
    self.process.send_signal(signal_number)
    self.process.wait(60)
    assert self.process.stdout is not None
    self.process.stdout.close()


class Client:
  """Connections that are kept open."""

  def __init__(self, host: str, port: int) -> None:
    self._host, self._port = host, port
    self._free: asyncio.Queue[Any] = asyncio.Queue()

  async def call(
    self, method: str, path: str, body: bytes = b""
  ) -> tuple[int, bytes]:
    """Returns the status and the body of an answer."""
    if self._free.empty():
      pair = await asyncio.open_connection(self._host, self._port)
    else:
      pair = self._free.get_nowait()
    reader, writer = pair
    try:
      status, content, kept = await self._exchange(
        reader, writer, method, path, body
      )
    except BaseException:
      writer.close()
      raise
    if kept:
      self._free.put_nowait(pair)
    else:
      writer.close()
    return status, content

  async def _exchange(
    self,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    method: str,
    path: str,
    body: bytes,
  ) -> tuple[int, bytes, bool]:
    """Returns status and body, and whether the connection stays open."""
    head = (
      f"{method} {path} HTTP/1.1\r\nhost: x\r\n"
      f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    if not (line := await reader.readline()):
      raise ConnectionResetError("the server closed the connection")
    status, size, kept = int(line.split()[1]), 0, True
    while (header := await reader.readline()) != b"\r\n":
      name, _, value = header.partition(b":")
      if name.lower() == b"content-length":
        size = int(value)
      kept &= (name.lower(), value.strip()) != (b"connection", b"close")
    return status, await reader.readexactly(size), kept

  def close(self) -> None:
    """Closes all connections that are not in use."""
    while not self._free.empty():
      self._free.get_nowait()[1].close()


async def ready(server: Server) -> Client:
  """Waits until a server is ready."""
  client = Client(server.host, server.port)
  while (await client.call("GET", "/readyz"))[0] != 200:
    await asyncio.sleep(0.2)
  return client


def measured(
  config: str,
  workdir: pathlib.Path,
  measure: Callable[[Server], Coroutine[Any, Any, dict[str, Any]]],
) -> dict[str, Any]:
  """Returns what is measured of a server, which then ends."""
  server = Server(config, workdir)
  try:
    return asyncio.run(measure(server))
  finally:
    server.stop()
