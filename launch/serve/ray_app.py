"""The servers as an application of Ray Serve; launch/serve/ray.yaml names it.

Each replica runs the same application as --mode=serve, with its own bundle.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

from ray import serve

import pinrec_jax
from pinrec_jax.buckets import work_folder
from pinrec_jax.serve import app, server, watch


def build() -> Any:
  """Returns the application of a replica, from its environment variables."""
  config = pinrec_jax.read_config(os.environ["PINREC_CONFIG"])
  config.serve.store = os.environ["PINREC_STORE"]
  served = server.open_service(
    config, work_folder.readable(os.environ["PINREC_WORKDIR"])
  )

  @contextlib.asynccontextmanager
  async def _lifespan(_: Any) -> AsyncIterator[None]:
    await served.start()  # Ray sends calls when this is done.
    seconds = int(os.environ.get("PINREC_WATCH", "10"))
    watching = asyncio.create_task(watch.watch(served, seconds))
    yield
    watching.cancel()
    await served.stop()

  return app.make(served, _lifespan, os.environ.get(server.TOKEN, ""))


servers = serve.deployment(serve.ingress(build)(), name="Servers").bind()
