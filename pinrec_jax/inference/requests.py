"""Requests: JSON or mappings in, checked histories and conditions out."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import histories, schema
from pinrec_jax.decode import budget as budget_lib
from pinrec_jax.decode import conditions
from pinrec_jax.inference import answers, wire
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.model import item_embedder

MAX_TIME = 2**32  # Unix seconds that fit the model's time encoding.


@dataclasses.dataclass(frozen=True)
class Request:
  """A checked request, ready to be put into a batch.

  Attributes:
    user: the user's id, as text.
    request_id: the request's id, as text.
    events: the events that the model reads.
    seen: item rows to leave out of the list.
    ask: what is asked for.
    candidates: length of the list.
    dropped: older events that did not fit.
    unknown: ids of items that the catalog does not have.
    unknown_place: places of these items in `events`.
    unknown_features: their features; None if there is none.
  """

  user: str
  request_id: str
  events: schema.Events
  seen: Int[np.ndarray, "_"]
  ask: conditions.Ask
  candidates: int
  dropped: int = 0
  unknown: tuple[str, ...] = ()
  unknown_place: Int[np.ndarray, "u"] = dataclasses.field(
    default_factory=lambda: np.zeros(0, int)
  )
  unknown_features: item_embedder.ItemFeatures | None = None


Parsed: TypeAlias = Request | answers.Failure


class Defaults(NamedTuple):
  """What a request gets if it does not say otherwise."""

  ask: conditions.Ask
  candidates: int


class Reader:
  """Reads and checks the requests to one bundle."""

  def __init__(self, bundle: bundle_lib.Bundle) -> None:
    self._bundle = bundle

  @property
  def config(self) -> config_lib.Inference:
    """The configuration of the bundle."""
    return self._bundle.config

  def max_tokens(self, steps: int) -> int:
    """Returns how many tokens a history may have, with its start token.

    The generated vectors of all steps but the last follow it.
    """
    return self.config.sequence_length - steps + 1

  def defaults(
    self,
    *,
    budget: str | Mapping[str, float] | None = None,
    candidates: int | None = None,
  ) -> Defaults:
    """Returns the configured defaults, some of them replaced.

    Raises:
      ValueError: on an invalid budget, name or number.
    """
    decode, names = self.config.decode, self._bundle.vocabulary
    ask = conditions.Ask(
      budget=self.budget(decode.budget if budget is None else budget),
      offsets=decode.offsets or (conditions.NEXT_EVENT,),
      steps=decode.steps,
      surface=names.surface(decode.surface) if decode.surface else -1,
      item_type=names.item_type(decode.item_type) if decode.item_type else -1,
      # A log without a time split has no target ages.
      age=decode.age if names.test_from else conditions.UNSPECIFIED,
      sampled=decode.feedback == "sample",
    )
    size = decode.candidates if candidates is None else candidates
    return Defaults(ask, _at_least_one("candidates", size))

  def budget(self, budget: str | Mapping[str, float]) -> budget_lib.Budget:
    """Returns a budget; an empty one means the fractions of the log.

    Raises:
      ValueError: on an invalid budget, or one for an unconditioned model.
    """
    names = self._bundle.vocabulary
    if not self.config.model.conditioned:
      if budget:
        raise ValueError(
          f"budget {budget!r} asks an unconditioned model for outcomes; train "
          "with model.conditioned=True"
        )
      return budget_lib.unspecified(names)
    if budget:
      return budget_lib.parse(budget, names)
    return budget_lib.from_fractions(self._bundle.outcome_fractions)

  def read(
    self, given: str | bytes | Mapping[str, Any], name: str, defaults: Defaults
  ) -> Parsed:
    """Returns a checked request, or a failure that names the fault.

    Args:
      given: a line of JSON, or a mapping.
      name: of the request, for errors.
      defaults: for fields that the request leaves out.
    """
    user: str | None = None
    try:
      fields = wire.decode(given)
      user = wire.id_text(fields.user)
      return self._request(fields, user, defaults)
    except RecursionError:
      return answers.Failure(f"{name}: the JSON is nested too deeply", user)
    except (ValueError, TypeError, OverflowError) as error:
      who = f"{name}, user {user!r}" if user is not None else name
      return answers.Failure(f"{who}: {error}", user)

  def _request(
    self, fields: wire.RequestFields, user: str, defaults: Defaults
  ) -> Request:
    ask, candidates = self._ask(fields, defaults)
    context = [fields.context] if fields.context else []
    given = [*(fields.events or []), *context]
    events = self._events(given, len(context))
    _require_order(events)
    return self.from_events(
      user,
      events,
      ask=ask,
      candidates=candidates,
      request_id=wire.id_text(fields.id),
      given=given,
    )

  def from_events(
    self,
    user: str,
    events: schema.Events,
    *,
    ask: conditions.Ask,
    candidates: int,
    request_id: str = "",
    given: list[wire.EventFields] | None = None,
  ) -> Request:
    """Returns the request of a history.

    A history that is too long loses its oldest events.

    Args:
      user: the user's id.
      events: all events of the history.
      ask: what is asked for.
      candidates: length of the list.
      request_id: of the request.
      given: the events as they were written, for items that are not in the
        catalog; by default all items are.
    """
    config = self.config
    place = np.flatnonzero(histories.readable(events, config.history_events))
    fits = self.max_tokens(ask.steps) - 1
    dropped = max(len(place) - fits, 0)
    place = place[dropped:]
    read = events.where(place)
    unknown = np.flatnonzero(read.item == schema.NO_ITEM) if given else []
    features = None
    if given and len(unknown):
      features = self._features([given[n] for n in place[unknown]])
    return Request(
      user=user,
      request_id=request_id,
      events=read,
      seen=events.seen(config.index.filter_seen),
      ask=ask,
      candidates=candidates,
      dropped=dropped,
      unknown=tuple(wire.id_text(given[place[n]].item) for n in unknown)
      if given
      else (),
      unknown_place=np.asarray(unknown, int),
      unknown_features=features,
    )

  def _ask(
    self, fields: wire.RequestFields, defaults: Defaults
  ) -> tuple[conditions.Ask, int]:
    """Returns what a request asks for, and the length of its list."""
    names, changes = self._bundle.vocabulary, {}
    conditioned = self.config.model.conditioned
    for field in ("surface", "item_type", "offsets", "age"):
      if getattr(fields, field) is not None and not conditioned:
        raise ValueError(f"{field} is given, and the model is unconditioned")
    if fields.budget is not None:
      changes["budget"] = self.budget(fields.budget or "")
    if fields.surface is not None:
      changes["surface"] = names.surface(fields.surface)
    if fields.item_type is not None:
      changes["item_type"] = names.item_type(fields.item_type)
    if fields.offsets is not None:
      if not fields.offsets or min(fields.offsets) < conditions.NEXT_EVENT:
        raise ValueError(
          f"offsets is {fields.offsets}; list seconds, 0 or more, or -1 for the "
          "next event"
        )
      changes["offsets"] = tuple(fields.offsets)
    if fields.age is not None:
      changes["age"] = max(fields.age, conditions.UNSPECIFIED)
    if fields.steps is not None:
      changes["steps"] = _at_least_one("steps", fields.steps)
      if fields.steps >= self.config.sequence_length:
        raise ValueError(
          f"steps is {fields.steps}; use fewer than the sequence length, "
          f"{self.config.sequence_length}"
        )
    size = defaults.candidates
    if fields.candidates is not None:
      size = _at_least_one("candidates", fields.candidates)
    return defaults.ask._replace(**changes), size

  def _events(
    self, given: list[wire.EventFields], context: int
  ) -> schema.Events:
    """Returns the events; the last `context` of them are context."""
    catalog, names = self._bundle.catalog, self._bundle.vocabulary
    size = len(given)
    actions = np.zeros((size, len(names.actions)), np.uint8)
    item, surface, time = (np.zeros(size, np.int64) for _ in range(3))
    shown = np.zeros(size, bool)
    row_of = catalog.row_of
    for n, event in enumerate(given):
      try:
        item[n] = row_of.get(wire.id_text(event.item), schema.NO_ITEM)
        for name in event.actions or ():
          actions[n, names.action(name)] = 1
        if event.surface:
          surface[n] = names.surface(event.surface)
        time[n] = _seconds(event.time)
        shown[n] = event.shown_only or False
        if shown[n] and actions[n, : names.outcomes].any():
          raise ValueError("it has actions and is shown_only; remove one")
      except ValueError as error:
        raise ValueError(f"event {n}: {error}") from error
    last = np.arange(size) >= size - context
    return schema.Events(
      item=item.astype(np.int32),
      actions=actions,
      surface=surface.astype(np.int32),
      item_type=catalog.items.item_type[item].astype(np.int32),
      time=time,
      session=np.full(size, schema.UNKNOWN_SESSION, np.int32),
      engaged=~last & ~shown,
      context=last,
    )

  def _features(
    self, given: list[wire.EventFields]
  ) -> item_embedder.ItemFeatures:
    """Returns the features of items that the catalog does not have."""
    model, catalog = self.config.model, self._bundle.catalog
    rows = np.full((len(given), model.num_hashes), -1, np.int32)
    if not model.id_dropout:
      ids = [wire.id_text(event.item) for event in given]
      rows = item_embedder.hashed_rows(ids, model.num_hashes, model.table_size)
    types = [
      catalog.vocabulary.item_type(event.item_type) if event.item_type else 0
      for event in given
    ]
    return item_embedder.ItemFeatures(
      rows,
      np.stack([catalog.encode(event.features or {}) for event in given]),
      np.zeros((len(given), catalog.vocabulary.dense), np.float32),
      np.array(types, np.int32),
    )


def _seconds(time: float | None) -> int:
  if time is None:
    return schema.UNKNOWN_TIME
  if not 0 <= time < MAX_TIME:
    raise ValueError(f"time is {time:g}; give unix seconds")
  return int(time)


def _at_least_one(field: str, value: int) -> int:
  if value < 1:
    raise ValueError(f"{field} is {value}; use 1 or more")
  return value


def _require_order(events: schema.Events) -> None:
  """Raises ValueError if the times of a history fall."""
  dated = np.flatnonzero(events.time != schema.UNKNOWN_TIME)
  back = np.flatnonzero(np.diff(events.time[dated]) < 0)
  if back.size:
    raise ValueError(
      f"event {dated[back[0] + 1]} is earlier than the event before; sort the "
      "history by time, oldest first"
    )
