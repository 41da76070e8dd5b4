"""Events of requests as arrays, and items that the catalog does not have."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.data import schema
from pinrec_jax.inference import items as items_lib
from pinrec_jax.inference import wire
from pinrec_jax.model import item_embedder

MAX_TIME = 2**32  # Unix seconds that fit the model's time encoding.


class UnknownItems(NamedTuple):
  """Items of a history that the catalog does not have.

  Attributes:
    ids: their ids, as text.
    place: their places in the history.
    features: their features.
  """

  ids: tuple[str, ...]
  place: Int[np.ndarray, "u"]
  features: item_embedder.ItemFeatures


def read(
  given: Sequence[wire.EventFields],
  with_context: bool,
  items: items_lib.Items,
  names: schema.Vocabulary,
) -> schema.Events:
  """Returns the events of a request, in the order in which they are written.

  Args:
    given: the events, as they are written.
    with_context: whether the last one is context.
    items: the items there are. An unknown one becomes NO_ITEM.
    names: the names of actions and surfaces.

  Raises:
    ValueError: naming the event and the field at fault.
  """
  size = len(given)
  actions = np.zeros((size, len(names.actions)), np.uint8)
  item, surface, time = (np.zeros(size, np.int64) for _ in range(3))
  shown = np.zeros(size, bool)
  context = np.arange(size) >= size - with_context
  for n, event in enumerate(given):
    try:
      key = wire.id_text(event.item, "item")
      item[n] = items.row_of.get(key, schema.NO_ITEM)
      for name in event.actions or ():
        actions[n, names.action(name)] = 1
      if event.surface:
        surface[n] = names.surface(event.surface)
      time[n] = _seconds(event.time)
      shown[n] = event.shown_only or False
      if shown[n] and actions[n, : names.outcomes].any():
        raise ValueError(
          f"actions is {event.actions} and shown_only is true; remove one"
        )
    except ValueError as error:
      place = "context" if context[n] else f"events[{n}]"
      raise ValueError(f"{place}: {error}") from error
  return schema.Events(
    item=item.astype(np.int32),
    actions=actions,
    surface=surface.astype(np.int32),
    item_type=items.types(item).astype(np.int32),
    time=time,
    session=np.full(size, schema.UNKNOWN_SESSION, np.int32),
    engaged=~context & ~shown,
    context=context,
  )


def unknown_items(
  given: Sequence[wire.EventFields],
  place: Int[np.ndarray, "u"],
  catalog: catalog_lib.Catalog,
  model: config_lib.Model,
) -> UnknownItems:
  """Returns the ids and features of items that the catalog does not have.

  Args:
    given: the events of these items, as they are written.
    place: their places in the history.
    catalog: of the bundle.
    model: says how ids are hashed.

  Raises:
    ValueError: on an unknown item type or feature, or too many values.
  """
  ids = tuple(wire.id_text(event.item, "item") for event in given)
  types, codes = [], []
  for name, event in zip(ids, given, strict=True):
    try:
      kind = event.item_type
      types.append(catalog.vocabulary.item_type(kind) if kind else 0)
      present = {
        k: v for k, v in (event.features or {}).items() if v is not None
      }
      codes.append(catalog.encode(present))
    except ValueError as error:
      raise ValueError(f"item {name!r}: {error}") from error
  features = item_embedder.new_features(
    ids, np.stack(codes), np.array(types), model, catalog.vocabulary.dense
  )
  return UnknownItems(ids, place, features)


def _seconds(time: float | None) -> int:
  if time is None:
    return schema.UNKNOWN_TIME
  if not 0 <= time < MAX_TIME:
    raise ValueError(f"time is {time:.15g}; give unix seconds")
  return int(time)


def require_order(time: Int[np.ndarray, "l"]) -> None:
  """Raises ValueError if the times of a history fall."""
  dated = np.flatnonzero(time != schema.UNKNOWN_TIME)
  back = np.flatnonzero(np.diff(time[dated]) < 0)
  if back.size:
    place = dated[back[0] + 1]
    raise ValueError(
      f"events[{place}] is earlier than the event before it: time is "
      f"{time[place]}; sort the history by time, oldest first"
    )
