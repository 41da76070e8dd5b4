"""Items and events as people read them."""

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from pinrec_jax.data import schema
from pinrec_jax.inference import bundle, requests, wire
from pinrec_jax.serve import messages, serving, snapshots


def _one(snapshot: snapshots.Snapshot, row: int) -> messages.About:
  return messages.About(snapshot.title(row), snapshot.features(row))


def about(
  snapshot: snapshots.Snapshot, items: Iterable[Any]
) -> dict[str, messages.About]:
  """Returns titles and features by id; an item that is gone is left out."""
  names = {str(item) for item in items}
  return {
    name: _one(snapshot, row)
    for name in names
    if (row := snapshot.row_of.get(name)) is not None
  }


def history(
  own: serving.Serving, known: requests.History
) -> tuple[list[dict[str, Any]], dict[str, messages.About]]:
  """Returns events as they are written, and what to read of their items."""
  snapshot = own.live.snapshot
  listed, about = [], {}
  events = known.events
  for n, given in enumerate(known.given):
    row = int(events.item[n])
    if given is not None and row == schema.NO_ITEM:
      listed.append(_shown(given))
      continue
    event = written(own, events, n)
    about[str(event.item)] = _one(snapshot, row)
    listed.append(_shown(event))
  return listed, about


def written(
  own: serving.Serving, events: schema.Events, n: int
) -> wire.EventFields:
  """Returns an event of the log as a request has it."""
  names = own.bundle.vocabulary
  (item,) = own.live.snapshot.ids(events.item[n : n + 1])
  chosen = np.flatnonzero(events.actions[n]).tolist()
  event = wire.EventFields(item, [names.actions[a] for a in chosen])
  if events.surface[n]:
    event.surface = names.surfaces[events.surface[n]]
  if events.time[n] != schema.UNKNOWN_TIME:
    event.time = int(events.time[n])
  if not events.engaged[n]:
    event.shown_only = True
  return event


def _shown(event: wire.EventFields) -> dict[str, Any]:
  found = msgspec.to_builtins(event)
  return {name: value for name, value in found.items() if value is not None}


def items(
  snapshot: snapshots.Snapshot,
  found: bundle.Bundle,
  query: str,
  limit: int,
  after: int,
) -> messages.Items:
  """Returns a page of the items that match a text.

  Args:
    snapshot: all items.
    found: the bundle they were added to.
    query: a part of an id, a title or a feature; an empty one matches all.
    limit: items of the page.
    after: number of matches to leave out.
  """
  rows = snapshot.matching(query)
  page = rows[after : after + limit]
  types = found.vocabulary.item_types
  listed = [
    messages.Item(
      item,
      snapshot.title(row),
      types[kind],
      snapshot.features(row),
      row >= len(found.vectors),
    )
    for row, item, kind in zip(
      page.tolist(), snapshot.ids(page), snapshot.types(page), strict=True
    )
  ]
  end = after + len(page)
  return messages.Items(listed, len(rows), end if end < len(rows) else None)
