"""Requests: JSON or mappings in, checked histories and conditions out."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import histories, merging, schema
from pinrec_jax.decode import budget as budget_lib
from pinrec_jax.decode import conditions
from pinrec_jax.inference import answers, request_events, wire
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.inference import filters as filters_lib
from pinrec_jax.inference import items as items_lib

MAX_OFFSETS = 16  # Of a request, to bound the work of its batch.
MAX_SECONDS = 2**31 - 1  # Of an offset or an age.


@dataclasses.dataclass(frozen=True)
class Request:
  """A checked request, ready to be put into a batch.

  Attributes:
    user: the user's id, as text.
    request_id: the request's id, as text.
    events: the events that the model reads.
    seen: item rows to leave out of the list.
    ask: the conditions and the budget.
    candidates: length of the list.
    dropped: older events that did not fit.
    unknown: items of `events` that the catalog does not have, if any.
    filters: which items may be in the list; None is all.
    stored: whether the events are known from before, and not of the request.
  """

  user: str
  request_id: str
  events: schema.Events
  seen: Int[np.ndarray, "_"]
  ask: conditions.Ask
  candidates: int
  dropped: int = 0
  unknown: request_events.UnknownItems | None = None
  filters: filters_lib.Filter | None = None
  stored: bool = False

  @property
  def hidden(self) -> int:
    """Number of items that the list leaves out, or a few more."""
    excluded = self.filters.exclude if self.filters else ()
    return len(self.seen) + len(excluded)


class Given(NamedTuple):
  """A decoded request.

  Attributes:
    name: of the request, for errors.
    fields: as they are written.
    user: the user's id, as text.
  """

  name: str
  fields: wire.RequestFields
  user: str


class History(NamedTuple):
  """Events of a user that are known from before the request.

  Attributes:
    events: oldest first.
    given: each event as it was written; None if its item is in the catalog.
  """

  events: schema.Events
  given: Sequence[wire.EventFields | None]


Parsed: TypeAlias = Request | answers.Failure


class Defaults(NamedTuple):
  """What a request gets if it does not say otherwise."""

  ask: conditions.Ask
  candidates: int


class Reader:
  """Reads and checks the requests to one bundle."""

  def __init__(self, bundle: bundle_lib.Bundle, items: items_lib.Items) -> None:
    self._bundle, self._items = bundle, items

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
      steps=self._steps(decode.steps),
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

  def read(self, given: Any, name: str, defaults: Defaults) -> Parsed:
    """Returns a checked request, or a failure that names the fault.

    Args:
      given: a line of JSON, or a mapping. Anything else is a failure.
      name: of the request, for errors.
      defaults: for fields that the request leaves out.
    """
    decoded = decode(given, name)
    if isinstance(decoded, answers.Failure):
      return decoded
    return self.check(decoded, defaults)

  def check(
    self, given: Given, defaults: Defaults, known: History | None = None
  ) -> Parsed:
    """Returns a checked request, or a failure that names the fault.

    Args:
      given: the request.
      defaults: for fields that the request leaves out.
      known: the user's history, for a request without events. By default it
        comes from the bundle.
    """
    try:
      return self._request(given, defaults, known)
    except (ValueError, TypeError, OverflowError) as error:
      return _failure(str(error), given.name, given.user)

  def known(self, user: str) -> History | None:
    """Returns the history of a user in the bundle, if there is one."""
    events = self._bundle.users.get(user)
    return None if events is None else History(events, [None] * len(events))

  def _request(
    self, given: Given, defaults: Defaults, known: History | None
  ) -> Request:
    fields, user = given.fields, given.user
    ask, candidates = self._ask(fields, defaults)
    stored = fields.events is None
    written = [*(fields.events or ())]
    if fields.context:
      written.append(fields.context)
    events = request_events.read(
      written, fields.context is not None, self._items, self._bundle.vocabulary
    )
    request_events.require_order(events.time)
    before: Sequence[wire.EventFields | None] = ()
    if stored and known is None:
      known = self.known(user)
    if stored and known is not None:
      events = merging.concatenate([known.events, events])
      before = known.given
    return self.from_events(
      user,
      events,
      ask=ask,
      candidates=candidates,
      request_id="" if fields.id is None else wire.id_text(fields.id, "id"),
      given=[*before, *written],
      fields=fields.filters,
      stored=stored,
    )

  def from_events(
    self,
    user: str,
    events: schema.Events,
    *,
    ask: conditions.Ask,
    candidates: int,
    request_id: str = "",
    given: Sequence[wire.EventFields | None] = (),
    fields: wire.FilterFields | None = None,
    stored: bool = False,
  ) -> Request:
    """Returns the request of a history.

    A history that is too long loses its oldest events.

    Args:
      user: the user's id.
      events: all events of the history.
      ask: the conditions and the budget.
      candidates: length of the list.
      request_id: of the request.
      given: the events as they were written, if some of their items may be
        missing from the catalog.
      fields: which items may be in the list, as it is written.
      stored: whether the events are known from before.
    """
    config = self.config
    place = np.flatnonzero(histories.readable(events, config.history_events))
    dropped = max(len(place) - (self.max_tokens(ask.steps) - 1), 0)
    place = place[dropped:]
    read, unknown = events.where(place), None
    missing = np.flatnonzero(read.item == schema.NO_ITEM)
    if given and missing.size:
      unknown = request_events.unknown_items(
        [event for n in place[missing] if (event := given[n])],
        missing,
        self._bundle.catalog,
        config.model,
      )
    return Request(
      user=user,
      request_id=request_id,
      events=read,
      seen=events.seen(config.index.filter_seen),
      ask=ask,
      candidates=candidates,
      dropped=dropped,
      unknown=unknown,
      filters=fields
      and filters_lib.read(fields, self._items, self._bundle.vocabulary),
      stored=stored,
    )

  def _ask(
    self, fields: wire.RequestFields, defaults: Defaults
  ) -> tuple[conditions.Ask, int]:
    """Returns the conditions of a request, and the length of its list."""
    names = self._bundle.vocabulary
    changes: dict[str, Any] = {}
    for field in ("surface", "item_type", "offsets", "age"):
      value = getattr(fields, field)
      if value is not None and not self.config.model.conditioned:
        raise ValueError(
          f"{field} is {value!r} and the model is unconditioned; leave it out"
        )
    if fields.budget is not None:
      changes["budget"] = self.budget(fields.budget)
    if fields.surface is not None:
      changes["surface"] = names.surface(fields.surface)
    if fields.item_type is not None:
      changes["item_type"] = names.item_type(fields.item_type)
    if fields.offsets is not None:
      changes["offsets"] = _offsets(fields.offsets)
    if fields.age is not None:
      changes["age"] = fields.age
      if not conditions.UNSPECIFIED <= fields.age <= MAX_SECONDS:
        raise ValueError(
          f"age is {fields.age}; use seconds, 0 or more, or -1 for any"
        )
    if fields.steps is not None:
      changes["steps"] = self._steps(fields.steps)
    size = defaults.candidates
    if fields.candidates is not None:
      size = _at_least_one("candidates", fields.candidates)
    return defaults.ask._replace(**changes), size

  def _steps(self, steps: int) -> int:
    """Returns a number of steps that leaves room for the start token.

    Raises:
      ValueError: if it does not.
    """
    longest = self.config.sequence_length
    if not 1 <= steps < longest:
      raise ValueError(
        f"steps is {steps}; use 1 or more, and fewer than the sequence length "
        f"({longest})"
      )
    return steps


def decode(given: Any, name: str) -> Given | answers.Failure:
  """Returns a decoded request, or a failure that names the fault.

  Args:
    given: a line of JSON, or a mapping. Anything else is a failure.
    name: of the request, for errors.
  """
  try:
    fields = wire.decode(given)
    return Given(name, fields, wire.id_text(fields.user, "user"))
  except RecursionError:
    problem = "the JSON is nested too deeply; list events with few fields"
  except (ValueError, TypeError, OverflowError) as error:
    problem = str(error)
  return _failure(problem, name)


def _failure(
  problem: str, name: str, user: str | None = None
) -> answers.Failure:
  # Lone surrogates of a request cannot be written as UTF-8.
  problem = problem.encode("utf-8", "backslashreplace").decode()
  who = name
  if user is not None:
    who = f"{name}, user {user!r}" if name else f"user {user!r}"
  return answers.Failure(f"{who}: {problem}" if who else problem, user)


def _offsets(given: Sequence[int]) -> tuple[int, ...]:
  """Returns valid offsets.

  Raises:
    ValueError: if there are none or too many, or one is out of range.
  """
  valid = (conditions.NEXT_EVENT <= n <= MAX_SECONDS for n in given)
  if not 1 <= len(given) <= MAX_OFFSETS or not all(valid):
    raise ValueError(
      f"offsets is {list(given[: MAX_OFFSETS + 1])}; list 1 to {MAX_OFFSETS} "
      f"numbers of seconds, from 0 to {MAX_SECONDS}, or -1 for the next event"
    )
  return tuple(given)


def _at_least_one(field: str, value: int) -> int:
  if value < 1:
    raise ValueError(f"{field} is {value}; use 1 or more")
  return value
