"""Items: added, changed, deleted and listed."""

import asyncio
from collections.abc import Callable

from pinrec_jax.inference import wire
from pinrec_jax.serve import (
  item_changes,
  item_writer,
  messages,
  metrics,
  readable,
)
from pinrec_jax.serve import serving as serving_lib
from pinrec_jax.serve.errors import RefusedError


class Items:
  """The items of the bundle that is served, with their changes."""

  def __init__(
    self,
    serving: Callable[[], serving_lib.Serving],
    writer: item_writer.ItemWriter,
    measured: metrics.Metrics,
  ) -> None:
    """Sets up the items.

    Args:
      serving: returns the bundle that is served.
      writer: makes changes durable and searchable.
      measured: gets the number of changes.
    """
    self._serving, self._writer, self._metrics = serving, writer, measured

  async def put(self, item: str, body: bytes) -> messages.Changed:
    """Adds or replaces an item.

    Raises:
      StoreError: if it cannot be stored.
      ValueError: naming the field at fault.
    """
    given = wire.decode_as(messages.NewItem, body or b"{}")
    state = item_changes.ItemState(item=given, bundle=self._serving().version)
    return await self._change(item, state, "put")

  async def delete(self, item: str) -> messages.Changed:
    """Deletes an item.

    Raises:
      RefusedError: if there is none.
      StoreError: if the deletion cannot be stored.
    """
    text = wire.id_text(item, "item")
    snapshot = self._serving().live.snapshot
    if snapshot.place(snapshot.row_of.get(text)) < 0:
      raise RefusedError(404, f"there is no item {text!r}")
    return await self._change(
      item, item_changes.ItemState(deleted=True), "delete"
    )

  async def _change(
    self, item: str, state: item_changes.ItemState, kind: str
  ) -> messages.Changed:
    text = wire.id_text(item, "item")
    snapshot = await self._writer.write(text, state)
    self._metrics.upserts.labels(kind).inc()
    return messages.Changed(text, snapshot.count, snapshot.version)

  async def search(self, query: str, limit: int, after: int) -> messages.Items:
    """Returns a page of the items that match a text."""
    own = self._serving()
    return await asyncio.to_thread(
      readable.items, own.live.snapshot, own.bundle, query, limit, after
    )
