"""An HTTP protocol with a deadline and a size limit for every request.

uvicorn closes idle connections, but any byte keeps a slow request alive. A
client that sends one byte at a time could hold connections for ever.
"""

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http import httptools_impl

MAX_HEADER_BYTES = 32_768


class DeadlineProtocol(httptools_impl.HttpToolsProtocol):
  """uvicorn's protocol; it cuts off requests that are too slow or too large."""

  receive_seconds = 10.0
  max_header_bytes = MAX_HEADER_BYTES

  def __init__(self, *args: Any, **kwargs: Any) -> None:
    super().__init__(*args, **kwargs)
    self._deadline: asyncio.TimerHandle | None = None
    self._header_bytes = 0

  def connection_made(self, transport: Any) -> None:
    """Starts the deadline of the first request."""
    # asyncio sets this option only on sockets that name their protocol. Without
    # it, a body waits 40 ms for the client to confirm the header.
    transport.get_extra_info("socket").setsockopt(
      socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    )
    super().connection_made(transport)
    self._start()

  def connection_lost(self, exc: Exception | None) -> None:
    """Stops the deadline."""
    self._stop()
    super().connection_lost(exc)

  def on_message_begin(self) -> None:
    """Starts the deadline of a request on an open connection."""
    super().on_message_begin()
    self._header_bytes = 0
    if self._deadline is None:
      self._start()

  def on_url(self, url: bytes) -> None:
    """Counts the bytes of the URL."""
    super().on_url(url)
    self._count(len(url))

  def on_header(self, name: bytes, value: bytes) -> None:
    """Counts the bytes of a header."""
    super().on_header(name, value)
    self._count(len(name) + len(value))

  def on_message_complete(self) -> None:
    """Stops the deadline: the request is here."""
    self._stop()
    super().on_message_complete()

  def _count(self, size: int) -> None:
    self._header_bytes += size
    if self._header_bytes > self.max_header_bytes:
      # The parser turns an error in a callback into a 400 response.
      raise ValueError("the headers of the request are too large")

  def _start(self) -> None:
    self._deadline = self.loop.call_later(self.receive_seconds, self._expire)

  def _stop(self) -> None:
    if self._deadline is not None:
      self._deadline.cancel()
      self._deadline = None

  def _expire(self) -> None:
    self._deadline = None
    if not self.transport.is_closing():
      self.transport.abort()


def with_limits(receive_seconds: float) -> type[DeadlineProtocol]:
  """Returns the protocol with a time in which a request must arrive."""
  return type(
    "Protocol", (DeadlineProtocol,), {"receive_seconds": receive_seconds}
  )
