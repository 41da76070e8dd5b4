"""The server process: its address, its start and its end."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import pathlib
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import threadpoolctl
import uvicorn
import uvloop
from absl import logging as absl_logging

from pinrec_jax import compilation_cache, sharding, validation
from pinrec_jax import config as config_lib
from pinrec_jax.inference import bundle_folders
from pinrec_jax.serve import (
  app,
  protocol,
  redis_store,
  service,
  sqlite_store,
  stores,
  watch,
)

BUNDLES, TWIN = "bundles", "uc"  # Folders of a work folder.
STORE = "store.sqlite"
TOKEN = "PINREC_TOKEN"  # Environment variable.
BACKLOG = 2048  # Connections that wait to be accepted.
ENDING = (signal.SIGTERM, signal.SIGINT)


def serve(config: config_lib.Config, workdir: pathlib.Path) -> None:
  """Serves the current bundle of a work folder until SIGTERM or Ctrl-C.

  The first line on standard output is the address.

  Raises:
    OSError: if the port is taken.
    ValueError: on a bad field, a bundle or a store that cannot be read, or an
      address that others can reach without a token.
  """
  validation.validate(config)
  sharding.require_device()
  compilation_cache.enable()
  own = config.serve
  token = _token(own)
  folder = workdir / BUNDLES
  bundle_folders.find(folder)  # Raises before the port is taken.
  listening = _listen(own, token)
  try:
    uvloop.run(_serve(config, workdir, listening, token))
  finally:
    listening.close()
  _end_while_loading()


def _end_while_loading() -> None:
  """Ends the process if a bundle is still being loaded.

  Otherwise, Python would end that thread inside of XLA, which aborts the
  process with an error.
  """
  if any(thread.name == service.LOADING for thread in threading.enumerate()):
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _token(own: config_lib.Serve) -> str:
  """Returns the token that calls must have; empty needs none.

  Raises:
    ValueError: if the file of the token is empty or cannot be read.
  """
  if not own.token_file:
    return os.environ.get(TOKEN, "").strip()
  try:
    text = pathlib.Path(own.token_file).expanduser().read_text("utf-8").strip()
  except (OSError, UnicodeDecodeError) as error:
    raise ValueError(
      f"config.serve.token_file is {own.token_file!r} and cannot be read "
      f"({error}); name a readable file with one line"
    ) from error
  if not text:
    raise ValueError(
      f"config.serve.token_file is {own.token_file!r}, which is empty; write a "
      "long random text into it, as: openssl rand -hex 32"
    )
  return text


def _listen(own: config_lib.Serve, token: str) -> socket.socket:
  """Returns a socket that listens.

  Raises:
    OSError: if the address cannot be used.
    ValueError: if others can reach it and there is no token.
  """
  try:
    found = socket.getaddrinfo(own.host, own.port, type=socket.SOCK_STREAM)
  except OSError as error:
    raise ValueError(
      f"config.serve.host is {own.host!r} and has no address ({error}); use "
      "127.0.0.1, or an address of this machine"
    ) from error
  family, _, _, _, address = found[0]
  if not token and not ipaddress.ip_address(address[0]).is_loopback:
    raise ValueError(
      f"config.serve.host is {own.host!r}, which others can reach; set "
      f"config.serve.token_file or the environment variable {TOKEN}, or use "
      "127.0.0.1"
    )
  listening = socket.socket(family, socket.SOCK_STREAM)
  listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
  try:
    listening.bind(address)
  except OSError as error:
    listening.close()
    raise OSError(
      f"{own.host}:{own.port} cannot be used ({error.strerror}); stop the "
      "other program, or use another --config.serve.port (0 picks a free one)"
    ) from error
  listening.listen(BACKLOG)
  return listening


async def _serve(
  config: config_lib.Config,
  workdir: pathlib.Path,
  listening: socket.socket,
  token: str,
) -> None:
  """Serves until a signal comes.

  Raises:
    ValueError: if the bundle or the store cannot be read.
  """
  own = config.serve
  served = open_service(config, workdir)
  failure: list[Exception] = []

  @contextlib.asynccontextmanager
  async def _lifespan(_: Any) -> AsyncIterator[None]:
    starting = asyncio.get_running_loop().create_task(
      _start(served, server, failure, own.watch_seconds)
    )
    yield
    starting.cancel()
    await served.stop()

  host, port = listening.getsockname()[:2]
  shown = f"[{host}]" if ":" in host else host
  print(f"serving on http://{shown}:{port}", flush=True)
  # uvicorn's own lines would name every call.
  logging.getLogger("uvicorn").setLevel(logging.ERROR)
  server = uvicorn.Server(
    uvicorn.Config(
      app.make(served, _lifespan, token),
      http=protocol.with_limits(own.receive_seconds),
      lifespan="on",
      ws="none",
      access_log=False,
      log_config=None,
      server_header=False,
      backlog=BACKLOG,
      timeout_graceful_shutdown=int(own.drain_seconds) or 1,
    )
  )
  # The products of NumPy are small. More threads would wait for each other.
  with threadpoolctl.threadpool_limits(1), _signals_ignored():
    await server.serve(sockets=[listening])
  if failure:
    raise ValueError(str(failure[0])) from failure[0]


async def _start(
  served: service.Service,
  server: uvicorn.Server,
  failure: list[Exception],
  watch_seconds: int,
) -> None:
  """Loads the bundle, and then follows the current one if it is to.

  An error of the first bundle ends the server and is put into `failure`.
  """
  began = time.monotonic()
  try:
    await served.start()
  except (ValueError, OSError, stores.StoreError) as error:
    failure.append(error)
    server.should_exit = True
    return
  about = served.served()
  absl_logging.info(
    "ready after %.1f s: bundle %s with %d items",
    time.monotonic() - began, about.version, about.items,
  )  # fmt: skip
  if watch_seconds:
    await watch.watch(served, watch_seconds)


@contextlib.contextmanager
def _signals_ignored() -> Iterator[None]:
  """Lets uvicorn alone end the process; it raises signals again at its end."""
  before = {number: signal.getsignal(number) for number in ENDING}
  for number in ENDING:
    signal.signal(number, signal.SIG_IGN)
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


def open_service(
  config: config_lib.Config, workdir: pathlib.Path
) -> service.Service:
  """Returns the service of a work folder, with its store open.

  Its `start` loads the bundle.

  Raises:
    ValueError: if the store cannot be opened.
  """
  try:
    store = _open_store(config.serve, workdir)
  except stores.StoreError as error:
    raise ValueError(str(error)) from error
  twin = workdir / TWIN / BUNDLES
  return service.Service(
    config,
    workdir / BUNDLES,
    store,
    twin=twin if (twin / bundle_folders.CURRENT).is_file() else None,
  )


def _open_store(own: config_lib.Serve, workdir: pathlib.Path) -> stores.Store:
  """Returns the store of a server.

  Raises:
    StoreError: if it cannot be opened.
  """
  if own.store.startswith(validation.REDIS):
    return redis_store.RedisStore(own.store, max_events=own.max_events)
  path = pathlib.Path(own.store or workdir / STORE).expanduser()
  return sqlite_store.SqliteStore(path, max_events=own.max_events)
