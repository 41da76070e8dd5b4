"""What the server does, apart from HTTP."""

import asyncio
import contextlib
import gc
import pathlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from pinrec_jax import config as config_lib
from pinrec_jax import pace
from pinrec_jax.buckets import addresses, work_folder
from pinrec_jax.inference import bundle_folders, wire
from pinrec_jax.serve import (
  explain,
  item_writer,
  items,
  memory,
  messages,
  metrics,
  retrieval,
  stores,
  users,
)
from pinrec_jax.serve import serving as serving_lib
from pinrec_jax.serve.errors import RefusedError

REST = 1.0  # Most seconds between the parts of loading a bundle.
LOADING = "load"  # Name of the threads that load bundles.
_Result = TypeVar("_Result")


class Service:
  """One bundle after another, with live items and stored events.

  Attributes:
    config: of decoding, the index and the server.
    metrics: counts and times.
    users: calls that concern users.
    items: calls that concern items.
    retrieval: calls that retrieve.
  """

  def __init__(
    self,
    config: config_lib.Config,
    folder: pathlib.Path,
    store: stores.Store,
    *,
    twin: pathlib.Path | None = None,
  ) -> None:
    """Sets up the service; `start` loads the bundle.

    Args:
      config: of decoding, the index and the server.
      folder: of the bundles.
      store: of events and changed items.
      twin: folder of the bundles of the unconditioned twin, for comparison.
    """
    self.config, self.metrics = config, metrics.Metrics()
    self._folder, self._store, self._twin_folder = folder, store, twin
    self._serving: serving_lib.Serving | None = None
    self._twin: explain.Twin | None = None
    self._previous: str | None = None
    self._swapping = asyncio.Lock()

    def _serving() -> serving_lib.Serving:
      return self.serving

    self._writer = item_writer.ItemWriter(store, _serving, self.metrics)
    self.items = items.Items(_serving, self._writer, self.metrics)
    self.users = users.Users(config.serve, _serving, store, self.metrics)
    self.retrieval = retrieval.Retrieval(
      config.serve, _serving, self.users, self.metrics
    )

  @property
  def serving(self) -> serving_lib.Serving:
    """The bundle that is served.

    Raises:
      RefusedError: if none is ready yet.
    """
    if self._serving is None:
      raise RefusedError(
        503, "the server is loading the bundle; try again", retry_after="5"
      )
    return self._serving

  @property
  def ready(self) -> bool:
    """Whether requests are answered."""
    return self._serving is not None

  @property
  def current_version(self) -> str:
    """The version that the folder of bundles names as current; "" if none."""
    return bundle_folders.current(self._folder)

  async def follow(self) -> None:
    """Fetches the pointer to the current bundle, if it is in a bucket.

    Raises:
      RefusedError: if the bucket cannot be read.
    """
    await self._of_bucket(work_folder.follow)

  async def _of_bucket(self, work: Callable[[pathlib.Path], None]) -> None:
    """Does what concerns a folder of bundles that is in a bucket."""
    if addresses.of(self._folder):
      try:
        await _in_thread(lambda: work(self._folder))
      except OSError as error:
        raise RefusedError(503, str(error), retry_after="5") from error

  async def start(self) -> None:
    """Loads the current bundle and applies all stored changes.

    Raises:
      FileNotFoundError: if there is no bundle.
      ValueError: if it is damaged.
    """
    first = await _in_thread(
      lambda: serving_lib.load(self._folder, self.config)
    )
    if self._twin_folder is not None:
      own = self._twin_folder
      self._twin = await _in_thread(lambda: explain.load_twin(own, self.config))
    await self._writer.replay(first)
    self._use(first)
    self.retrieval.start()
    self._writer.start()

  async def stop(self) -> None:
    """Answers all requests that wait, then closes the store."""
    self.metrics.ready.set(0)
    await self.retrieval.stop()
    await self._writer.stop()
    await self._store.close()

  def _use(self, new: serving_lib.Serving) -> None:
    if self._serving is not None:
      self._previous = self._serving.version
    self._serving = new
    # The collector need not look at a loaded bundle again. It is freed without
    # the collector when the next one replaces it.
    gc.freeze()
    self.metrics.of_bundle(new.version, new.bundle.provenance.step)
    self.metrics.of_items(new.live.snapshot)
    self.metrics.ready.set(1)

  async def explain(self, body: bytes) -> dict[str, Any]:
    """Returns an answer with all that the page shows of it.

    Raises:
      RefusedError: if the server is too busy.
      StoreError: if the user's history cannot be read.
      ValueError: if the request is invalid.
    """
    return await self.retrieval.explain(body, self._twin)

  def info(self) -> dict[str, Any]:
    """Returns what a client can ask for."""
    return explain.info(self.serving)

  def measured(self) -> bytes:
    """Returns the metrics as Prometheus reads them."""
    self.metrics.store_writable.set(self._store.writable)
    if self.ready:
      self.metrics.journal_lag.set(self._writer.lag)
    return self.metrics.render()

  def served(self) -> messages.Served:
    """Returns the versions of the bundle and the items."""
    own = self.serving
    return messages.Served(
      own.version,
      own.bundle.provenance.step,
      own.live.snapshot.version,
      own.live.snapshot.count,
      bundle_folders.versions(self._folder),
      self._previous,
    )

  async def swap(self, body: bytes) -> messages.Served:
    """Serves another bundle, once it is loaded and warm.

    Raises:
      RefusedError: if there is no such bundle, another swap is going on, or a
        bucket cannot be reached.
      ValueError: if it is damaged. The old one stays.
    """
    given = wire.decode_as(messages.Swap, body or b"{}")
    before = self.serving.version
    if self._swapping.locked():
      raise RefusedError(409, "another bundle is being loaded; wait for it")
    async with self._swapping:
      await self._of_bucket(work_folder.refresh)
      known = bundle_folders.versions(self._folder)
      if given.version is not None and given.version not in known:
        raise RefusedError(
          404,
          f"there is no bundle {given.version!r} beside {before!r}; choose "
          f"from {', '.join(known)}",
        )
      folder = self._folder / (given.version or "")
      new = await _in_thread(
        lambda: serving_lib.load(
          folder, self.config, pace.Pace(REST), self.serving
        )
      )

      async def _use() -> None:
        self._use(new)

      await self._writer.swap(new, _use)
      if given.version is not None:
        # Otherwise, a bundle that became current meanwhile would be undone.
        bundle_folders.set_current(self._folder, new.version)
        await self._of_bucket(work_folder.publish)
      await _in_thread(memory.give_back)
    return self.served()


async def _in_thread(function: Callable[[], _Result]) -> _Result:
  """Runs a function in a thread that does not delay the process's end."""
  loop = asyncio.get_running_loop()
  future: asyncio.Future[_Result] = loop.create_future()

  def _finish(result: Any, error: BaseException | None) -> None:
    if not future.done():
      if error is not None:
        future.set_exception(error)
      else:
        future.set_result(result)

  def _run() -> None:
    result, error = None, None
    try:
      result = function()
    except BaseException as caught:
      error = caught
    with contextlib.suppress(RuntimeError):  # The server has ended meanwhile.
      loop.call_soon_threadsafe(_finish, result, error)

  threading.Thread(target=_run, daemon=True, name=LOADING).start()
  return await future
