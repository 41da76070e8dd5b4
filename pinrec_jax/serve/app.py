"""The HTTP calls of the server."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
import prometheus_client
from starlette import applications, requests, responses, routing

from pinrec_jax.inference import answers
from pinrec_jax.serve import limits, messages, openapi, pages, stores
from pinrec_jax.serve.errors import RefusedError
from pinrec_jax.serve.service import Service

PAGE_LIMIT = 1000  # Items of a page.
MAX_QUERY = 200  # Characters of a search.
Handler: TypeAlias = Callable[[requests.Request], Awaitable[Any]]


class Envelope(msgspec.Struct):
  """Several requests, each still undecoded."""

  requests: list[msgspec.Raw] | None = None


LOG = logging.getLogger("pinrec_jax.serve")
_ENCODER = msgspec.json.Encoder()
_ENVELOPE = msgspec.json.Decoder(Envelope)


def make(
  service: Service,
  lifespan: Callable[[Any], contextlib.AbstractAsyncContextManager[None]],
  token: str,
) -> limits.App:
  """Returns the application.

  Args:
    service: does the work.
    lifespan: starts and stops it.
    token: bearer token that calls must have; empty needs none.
  """
  calls = _Calls(service)
  routes: list[routing.BaseRoute] = [
    routing.Route(path, _answering(handler), methods=[method])
    for method, path, handler in (
      ("POST", "/v1/retrieve", calls.retrieve),
      ("POST", "/v1/explain", calls.explain),
      ("GET", "/v1/info", calls.info),
      ("POST", "/v1/users/{user:path}/events", calls.append),
      ("GET", "/v1/users/{user:path}", calls.history),
      ("DELETE", "/v1/users/{user:path}", calls.forget),
      ("GET", "/v1/items", calls.items),
      ("PUT", "/v1/items/{item:path}", calls.put_item),
      ("DELETE", "/v1/items/{item:path}", calls.delete_item),
      ("GET", "/v1/bundle", calls.bundle),
      ("POST", "/v1/bundle", calls.swap),
      ("GET", "/livez", calls.live),
      ("GET", "/readyz", calls.ready),
      ("GET", "/metrics", calls.metrics),
      ("GET", "/openapi.json", calls.openapi),
      ("GET", "/page/{name}", calls.page),
      ("GET", "/docs", calls.docs),
      ("GET", "/", calls.index),
    )
  ]
  app = applications.Starlette(
    routes=routes,
    lifespan=lifespan,
    exception_handlers={404: _no_such_path, 405: _wrong_method},
  )
  own = service.config.serve
  return limits.Guard(
    app,
    token=token,
    max_concurrent=own.max_concurrent,
    count=service.metrics.respond,
  )


class _Calls:
  """The calls, from HTTP to the service and back."""

  def __init__(self, service: Service) -> None:
    self._service = service
    self._limit = 1024 * service.config.serve.max_body_kb

  async def _body(self, request: requests.Request) -> bytes:
    return await limits.body(request.receive, limit=self._limit)

  async def retrieve(self, request: requests.Request) -> Any:
    """Answers one request, or several, each on its own."""
    deadline = time.monotonic() + self._seconds(request)
    body = await self._body(request)
    try:
      many = _ENVELOPE.decode(body).requests
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
      many = None  # Reading the request names the fault.
    if many is None:
      found = await self._service.retrieval.answer(body, deadline)
      status = 422 if isinstance(found, answers.Failure) else 200
      return _json(found, status)
    most = self._service.config.serve.max_queue
    if len(many) > most:
      raise RefusedError(
        422, f"requests has {len(many)} entries; send {most} or fewer at once"
      )
    return messages.Answers(
      await asyncio.gather(
        *(
          self._one(bytes(raw), deadline, f"requests[{place}]")
          for place, raw in enumerate(many)
        )
      )
    )

  async def _one(self, body: bytes, deadline: float, name: str) -> Any:
    """Answers one of several requests; a refusal is its answer, too."""
    try:
      return await self._service.retrieval.answer(body, deadline, name)
    except (RefusedError, stores.StoreError) as error:
      return answers.Failure(f"{name}: {error}")

  def _seconds(self, request: requests.Request) -> float:
    """Returns the time that a call may take."""
    most = self._service.config.serve.deadline_ms / 1000
    given = request.headers.get("x-request-timeout")
    if given is None:
      return most
    try:
      seconds = float(given)
    except ValueError:
      seconds = math.nan
    if not seconds > 0:
      raise RefusedError(
        422, f"x-request-timeout is {given!r}; give seconds above 0"
      )
    return min(seconds, most)

  async def explain(self, request: requests.Request) -> Any:
    """Answers a request with all that the page shows."""
    return await self._service.explain(await self._body(request))

  async def info(self, request: requests.Request) -> Any:
    """Returns what a client can ask for."""
    return self._service.info()

  async def append(self, request: requests.Request) -> Any:
    """Stores events of a user."""
    body = await self._body(request)
    return await self._service.users.append(request.path_params["user"], body)

  async def history(self, request: requests.Request) -> Any:
    """Returns a user's history."""
    return await self._service.users.history(request.path_params["user"])

  async def forget(self, request: requests.Request) -> Any:
    """Deletes a user's events."""
    return await self._service.users.forget(request.path_params["user"])

  async def items(self, request: requests.Request) -> Any:
    """Returns a page of items."""
    query = request.query_params.get("query", "")
    if len(query) > MAX_QUERY:
      raise RefusedError(
        422, f"query has {len(query)} characters; use {MAX_QUERY} or fewer"
      )
    limit = _number(request, "limit", 100, 1, PAGE_LIMIT)
    after = _number(request, "after", 0, 0, 2**31 - 1)
    return await self._service.items.search(query, limit, after)

  async def put_item(self, request: requests.Request) -> Any:
    """Adds or replaces an item."""
    body = await self._body(request)
    return await self._service.items.put(request.path_params["item"], body)

  async def delete_item(self, request: requests.Request) -> Any:
    """Deletes an item."""
    return await self._service.items.delete(request.path_params["item"])

  async def bundle(self, request: requests.Request) -> Any:
    """Returns the versions of bundle and items."""
    return self._service.served()

  async def swap(self, request: requests.Request) -> Any:
    """Serves another bundle."""
    return await self._service.swap(await self._body(request))

  async def live(self, request: requests.Request) -> Any:
    """Says that the process runs."""
    return {"live": True}

  async def ready(self, request: requests.Request) -> Any:
    """Says whether requests are answered."""
    return _json(
      {"ready": self._service.ready}, 200 if self._service.ready else 503
    )

  async def metrics(self, request: requests.Request) -> Any:
    """Returns the metrics."""
    return responses.Response(
      self._service.measured(),
      media_type=prometheus_client.CONTENT_TYPE_LATEST,
    )

  async def openapi(self, request: requests.Request) -> Any:
    """Returns the OpenAPI document."""
    return openapi.document()

  async def page(self, request: requests.Request) -> Any:
    """Returns a file of the pages."""
    return pages.read(request.path_params["name"])

  async def docs(self, request: requests.Request) -> Any:
    """Returns the page of the calls."""
    return pages.read("docs.html")

  async def index(self, request: requests.Request) -> Any:
    """Returns the page where a budget is turned."""
    return pages.read("index.html")


def _answering(handler: Handler) -> Any:
  """Returns an endpoint that turns results and errors into JSON."""

  async def _endpoint(request: requests.Request) -> responses.Response:
    try:
      found = await handler(request)
    except RefusedError as error:
      found = _error(error.status, str(error))
      found.headers.update(error.headers)
    except stores.StoreError as error:
      found = _error(503, str(error))
    except RecursionError:
      found = _error(422, "the JSON is nested too deeply; use fewer levels")
    except ValueError as error:
      found = _error(422, str(error))
    except ConnectionResetError:  # The client is gone.
      raise
    except Exception:
      LOG.exception("internal error in %s", request.scope["route"].path)
      found = _error(500, "internal error; see the log of the server")
    return found if isinstance(found, responses.Response) else _json(found)

  return _endpoint


def _json(content: Any, status: int = 200) -> responses.Response:
  return responses.Response(
    _ENCODER.encode(content), status, media_type="application/json"
  )


def _error(status: int, message: str) -> responses.Response:
  # A message may quote half of a surrogate pair, which UTF-8 cannot hold.
  text = message.encode("utf-8", "backslashreplace").decode()
  return _json(messages.Error(text), status)


def _number(
  request: requests.Request, name: str, default: int, low: int, high: int
) -> int:
  """Returns a number of the query string.

  Raises:
    RefusedError: if it is not a whole number within limits.
  """
  given = request.query_params.get(name)
  if given is None:
    return default
  if not (given.isascii() and given.isdigit() and low <= int(given) <= high):
    raise RefusedError(
      422, f"{name} is {given[:40]!r}; use a whole number from {low} to {high}"
    )
  return int(given)


async def _no_such_path(
  request: requests.Request, error: Exception
) -> responses.Response:
  return _error(404, f"there is no {request.url.path[:100]}; see /docs")


async def _wrong_method(
  request: requests.Request, error: Exception
) -> responses.Response:
  return _error(405, f"{request.method} is not served here; see /docs")
