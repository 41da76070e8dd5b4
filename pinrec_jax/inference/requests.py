"""Requests: JSON or mappings in, checked histories and conditions out."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import histories, schema
from pinrec_jax.decode import conditions
from pinrec_jax.inference import answers, asks, request_events, wire
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.inference import filters as filters_lib
from pinrec_jax.inference import items as items_lib


@dataclasses.dataclass(frozen=True)
class Request:
  """A checked request, ready to be put into a batch.

  Attributes:
    user: the user's id, as text.
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
  events: schema.Events
  seen: Int[np.ndarray, "_"]
  ask: conditions.Ask
  candidates: int
  dropped: int = 0
  unknown: request_events.UnknownItems | None = None
  filters: filters_lib.Filter | None = None
  stored: bool = False

  @property
  def history(self) -> str:
    """Where the events come from, as `answers.Answer.history` says it."""
    if not len(self.events):
      return "none"
    return "stored" if self.stored else "request"

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


class Reader:
  """Reads and checks the requests to one bundle."""

  def __init__(self, bundle: bundle_lib.Bundle, items: items_lib.Items) -> None:
    self._bundle, self._items = bundle, items
    self._asks = asks.Asks(bundle)

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
  ) -> asks.Defaults:
    """Returns the configured defaults, some of them replaced.

    Raises:
      ValueError: on an invalid budget, name or number.
    """
    return self._asks.defaults(budget=budget, candidates=candidates)

  def read(self, given: Any, name: str, defaults: asks.Defaults) -> Parsed:
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
    self, given: Given, defaults: asks.Defaults, known: History | None = None
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
    self, given: Given, defaults: asks.Defaults, known: History | None
  ) -> Request:
    fields, user = given.fields, given.user
    ask, candidates = self._asks.read(fields, defaults)
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
      events = histories.joined([known.events, events])
      before = known.given
    return self.from_events(
      user,
      events,
      ask=ask,
      candidates=candidates,
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
