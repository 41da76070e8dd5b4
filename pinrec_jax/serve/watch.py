"""A server that follows the pointer to the current bundle."""

import asyncio

from absl import logging

from pinrec_jax.serve import service, stores
from pinrec_jax.serve.errors import RefusedError

BUSY = 409  # Another bundle is being loaded.


async def watch(served: service.Service, seconds: float) -> None:
  """Serves every bundle that becomes current, until it is cancelled.

  A bundle that cannot be loaded is logged once, and the old one stays.

  Args:
    served: the service, which is ready.
    seconds: time between two looks at the pointer.
  """
  seen = ""
  while True:
    await asyncio.sleep(seconds)
    try:
      await served.follow()
    except (RefusedError, ValueError) as error:
      logging.warning("the current bundle is not known: %s", error)
      continue
    version = served.current_version
    if version in (seen, ""):
      continue
    before, seen = seen, version
    if version == served.serving.version:
      continue
    try:
      about = await served.swap(b"")
    except RefusedError as error:
      if error.status == BUSY:
        seen = before  # It is tried again.
      logging.warning("bundle %s is not served: %s", version, error)
    except (ValueError, OSError, stores.StoreError) as error:
      logging.warning("bundle %s is not served: %s", version, error)
    else:
      logging.info("bundle %s is served", about.version)
