"""What every call must pass before it is read: token, size and time."""

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pinrec_jax.serve.errors import RefusedError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

READY = "/readyz"
OPEN = ("/livez", READY)  # Paths that never need a token.
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
LOG = logging.getLogger("pinrec_jax.serve")


async def body(receive: Receive, *, limit: int) -> bytes:
  """Returns the body of a call.

  Args:
    receive: the call's messages.
    limit: most bytes.

  Raises:
    RefusedError: if it is larger.
    ConnectionResetError: if the client is gone.
  """
  parts, size = [], 0
  while True:
    message = await receive()
    if message["type"] == "http.disconnect":
      raise ConnectionResetError
    part = message.get("body", b"")
    size += len(part)
    if size > limit:
      raise RefusedError(
        413, f"the body has more than {limit} bytes; send less at once"
      )
    parts.append(part)
    if not message.get("more_body"):
      return b"".join(parts)


class Guard:
  """Checks the token, bounds concurrency, and writes one log line per error."""

  def __init__(
    self,
    app: App,
    *,
    token: str,
    max_concurrent: int,
    count: Callable[[str, int], None],
  ) -> None:
    """Wraps an application.

    Args:
      app: the application.
      token: bearer token that calls must have; empty needs none.
      max_concurrent: calls that are served at once.
      count: gets the route and the status of every response.
    """
    self._app, self._token = app, token.encode()
    self._count = count
    self._free = asyncio.Semaphore(max_concurrent)

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    """Serves a call, or refuses it."""
    if scope["type"] != "http":
      await self._app(scope, receive, send)
      return
    began, status = time.monotonic(), 500

    async def _watched(message: MutableMapping[str, Any]) -> None:
      nonlocal status
      if message["type"] == "http.response.start":
        status = message["status"]
      await send(message)

    try:
      if self._free.locked():
        raise RefusedError(
          429, "too many calls at once; try again later", retry_after="1"
        )
      async with self._free:
        self._check(scope)
        await self._app(scope, receive, _watched)
    except ConnectionResetError:
      status = 499
    except RefusedError as error:
      await refuse(_watched, error)
    finally:
      route = getattr(scope.get("route"), "path", "")
      self._count(route, status)
      if status >= 400 and route != READY:
        _log(scope["method"], route, status, time.monotonic() - began)

  def _check(self, scope: Scope) -> None:
    """Raises RefusedError unless a call may be served."""
    if not self._token or scope["path"] in OPEN:
      return
    given = dict(scope["headers"]).get(b"authorization", b"")
    kind, _, token = given.partition(b" ")
    # The page itself holds nothing; its calls need the token.
    public = scope["path"] == "/" or scope["path"].startswith("/page/")
    if public and scope["method"] in ("GET", "HEAD"):
      return
    right = hmac.compare_digest(token.strip(), self._token)
    if kind.lower() != b"bearer" or not right:
      raise RefusedError(
        401,
        "the token is missing or wrong; send the header "
        "'Authorization: Bearer TOKEN'",
        www_authenticate="Bearer",
      )


async def refuse(send: Send, error: RefusedError) -> None:
  """Answers a call with an error."""
  content = json.dumps({"error": str(error)}).encode()
  headers = {
    "content-type": "application/json",
    "content-length": str(len(content)),
    **error.headers,
  }
  await send(
    {
      "type": "http.response.start",
      "status": error.status,
      "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }
  )
  await send({"type": "http.response.body", "body": content})


def _log(method: str, route: str, status: int, seconds: float) -> None:
  """Writes a line of JSON, without anything that a user sent."""
  LOG.warning(
    json.dumps(
      {
        "time": round(time.time(), 3),
        "method": method if method in METHODS else None,
        "route": route or None,
        "status": status,
        "milliseconds": round(1000 * seconds, 1),
      }
    )
  )
