"""Requests: read, batched and answered."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pinrec_jax import config as config_lib
from pinrec_jax.inference import answers, requests
from pinrec_jax.serve import batcher, explain, metrics
from pinrec_jax.serve import serving as serving_lib
from pinrec_jax.serve import users as users_lib
from pinrec_jax.serve.errors import RefusedError

EXPLAINED = 4  # Requests that are explained at once.


class _Entry(NamedTuple):
  """A request that waits, with the bundle that read it."""

  serving: serving_lib.Serving
  request: requests.Request


class Retrieval:
  """Reads requests, answers them in batches, and explains single ones."""

  def __init__(
    self,
    config: config_lib.Serve,
    serving: Callable[[], serving_lib.Serving],
    users: users_lib.Users,
    measured: metrics.Metrics,
  ) -> None:
    """Sets up the queue; `start` begins to answer.

    Args:
      config: limits of the queue and the batches.
      serving: returns the bundle that is served.
      users: their histories, for requests without events.
      measured: gets the time of each stage and the count of requests.
    """
    self._serving, self._users, self._metrics = serving, users, measured
    self._explaining = asyncio.Semaphore(EXPLAINED)
    self._batcher: batcher.Batcher[_Entry, Any] = batcher.Batcher(
      self._answer,
      max_batch=config.max_batch,
      max_queue=config.max_queue,
      max_wait=config.max_wait_ms / 1000,
      observe=measured.observe,
    )

  def start(self) -> None:
    """Begins to answer; call it inside the event loop."""
    self._batcher.start()

  async def stop(self) -> None:
    """Answers all requests that wait."""
    await self._batcher.stop()

  async def answer(
    self, body: bytes, deadline: float, name: str = ""
  ) -> answers.Answer | answers.Failure:
    """Returns the answer to one request.

    Args:
      body: the request as JSON.
      deadline: time of `time.monotonic` after which the answer is useless.
      name: of the request, for errors.

    Raises:
      RefusedError: if the server is too busy, too slow, or lacks its store.
    """
    began = time.monotonic()
    entry = await self._read(body, name)
    self._metrics.observe("parse", time.monotonic() - began)
    if isinstance(entry, answers.Failure):
      self._metrics.requests.labels("invalid").inc()
      return entry
    try:
      found = await self._batcher.submit(entry, deadline)
    except batcher.QueueFullError:
      self._metrics.requests.labels("queue full").inc()
      raise RefusedError(
        429, "too many requests are waiting; try again later", retry_after="1"
      ) from None
    except batcher.DeadlineExceededError:
      self._metrics.requests.labels("deadline").inc()
      raise RefusedError(
        504, "the deadline of the request has passed; allow more time"
      ) from None
    except Exception:
      self._metrics.requests.labels("error").inc()
      raise
    self._metrics.requests.labels("answered").inc()
    self._metrics.observe("total", time.monotonic() - began)
    return found

  async def _read(self, body: bytes, name: str) -> _Entry | answers.Failure:
    """Returns a checked request with the bundle that read it."""
    current = self._serving()
    given = requests.decode(body, name)
    if isinstance(given, answers.Failure):
      return given
    known = None
    if given.fields.events is None:
      known = await self._users.known(current, given.user)
    parsed = current.read(given, known)
    if isinstance(parsed, answers.Failure):
      return parsed
    if known is not None and len(known.events):
      self._users.compare(current, parsed, known)
    return _Entry(current, parsed)

  def _answer(self, entries: Sequence[_Entry]) -> list[Any]:
    """Answers a batch, each request by the bundle that read it."""
    groups: dict[int, list[int]] = {}
    for place, entry in enumerate(entries):
      groups.setdefault(id(entry.serving), []).append(place)
    found: list[Any] = [None] * len(entries)
    for places in groups.values():
      own = entries[places[0]].serving
      listed = own.answer(
        [entries[place].request for place in places], self._metrics.observe
      )
      for place, answer in zip(places, listed, strict=True):
        found[place] = answer
    self._metrics.queue.set(len(self._batcher))
    return found

  async def explain(
    self, body: bytes, twin: explain.Twin | None
  ) -> dict[str, Any]:
    """Returns an answer with all that the page shows of it.

    Args:
      body: the request as JSON.
      twin: the unconditioned model, for comparison.

    Raises:
      RefusedError: if the server is too busy.
      ValueError: if the request is invalid.
    """
    entry = await self._read(body, "")
    if isinstance(entry, answers.Failure):
      raise ValueError(entry.error)
    if self._explaining.locked():
      raise RefusedError(429, "the server is busy; try again", retry_after="1")
    async with self._explaining:
      return await asyncio.to_thread(
        explain.explain, entry.serving, entry.request, body, twin
      )
