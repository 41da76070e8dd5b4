"""Histories of users: events of the bundle and stored events, as one."""

from typing import Any

import msgspec
import numpy as np

from pinrec_jax import config as config_lib
from pinrec_jax.data import histories, merging, schema
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.inference import items as items_lib
from pinrec_jax.inference import request_events, requests, wire
from pinrec_jax.serve import stores

FUTURE = 60  # Seconds after the last event, of a target that is made up.


def merged(
  bundle: bundle_lib.Bundle,
  items: items_lib.Items,
  user: str,
  stored: stores.Stored,
) -> requests.History:
  """Returns a user's events of the bundle and of the store, oldest first.

  The same rules as in training decide which of them are one event. Events may
  come late, so they are sorted by time. What the bundle does not know of a
  stored event is left out.

  Args:
    bundle: with the user's events of the log.
    items: all items.
    user: id of the user.
    stored: what the store has of the user.
  """
  names = bundle.vocabulary
  given: list[Any] = [
    _known(msgspec.json.decode(event, type=wire.EventFields), names)
    for event in stored.events
  ]
  own = request_events.read(given, False, items, names)
  before = None if stored.forgotten else bundle.users.get(user)
  if before is not None:
    own = histories.joined([before, own])
    given = [None] * len(before) + given
  found = merging.of_user(own)
  return requests.History(found.events, [given[n] for n in found.row.tolist()])


def _known(
  event: wire.EventFields, names: schema.Vocabulary
) -> wire.EventFields:
  """Returns an event without names that the bundle does not have."""
  slots = {feature.name: feature.slots for feature in names.features}
  event.actions = [a for a in event.actions or () if a in names.actions]
  if event.surface not in names.surfaces:
    event.surface = None
  if event.item_type not in names.item_types:
    event.item_type = None
  event.features = {
    name: values[: slots[name]] if isinstance(values, list) else values
    for name, values in (event.features or {}).items()
    if name in slots
  }
  return event


def is_as_trained(
  request: requests.Request,
  history: requests.History,
  bundle: bundle_lib.Bundle,
) -> bool:
  """Whether training would read a history as the request was read.

  Args:
    request: what is served.
    history: the events that it was made from.
    bundle: the model.
  """
  config, outcomes = bundle.config, bundle.vocabulary.outcomes
  events = histories.visible(history.events, config.history_events)
  events = events.where(slice(len(events) - len(request.events), None))
  # A target after the last event makes training read all events.
  target = schema.Events(
    **{
      name: np.zeros((1, *column.shape[1:]), column.dtype)
      for name, column in vars(events).items()
    }
  )
  target.item[:], target.engaged[:] = 1, True
  target.time[:] = events.time.max(initial=0) + FUTURE
  (trained,) = histories.training(
    histories.joined([events, target]),
    config_lib.Data(
      sequence_length=1 + len(events), history_events=config.history_events
    ),
    end=0,
    outcomes=outcomes,
  )
  served = histories.serving([request.events], 1 + len(events))
  return all(
    np.array_equal(column, row[0])
    for column, row in zip(trained.tokens, served, strict=True)
  )
