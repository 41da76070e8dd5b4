"""Requests and responses, checked before any work."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from pinrec_jax.data import catalogue, histories, schema
from pinrec_jax.model import items as items_lib
from pinrec_jax.serve import retriever as retriever_lib

REQUEST = ("user", "events", "context")
EVENT = (
  "item", "actions", "surface", "time", "shown_only", "item_type", "features"
)  # fmt: skip


class Request(NamedTuple):
  """One user's history, ready to be put into a batch."""

  user: str
  events: schema.Events  # those that are read
  features: items_lib.ItemFeatures  # of the events' items
  unknown: list[str]  # items that are read through hashing and content only
  seen: Int[np.ndarray, "_"]  # items to leave out


def parse(
  line: str | Mapping[str, Any],
  number: int,
  *,
  known: catalogue.Catalogue,
  retriever: retriever_lib.Retriever,
) -> Request:
  """Reads a request such as {"user": "u", "events": [{"item": 7, ...}]}.

  It is a mapping, or a line of JSON.

  An event has an item and, all optional, a list of actions, a surface, a time
  in unix seconds and, for an item the catalogue lacks, its item type and its
  categorical features, as {"features": {"tag": ["3"]}}. One with
  {"shown_only": true} was not engaged with, whatever action that is no outcome
  it has, a dislike say: it is read and left out of the list where the
  configuration says so. "context" beside "events" is one more event,
  the query or item that the request is made with: it is read last, and is no
  reason to leave an item out.

  Raises:
    ValueError: naming the line or request, the user and the field at fault.
  """
  at = f"line {number}" if isinstance(line, str) else f"request {number}"
  try:
    given = json.loads(line) if isinstance(line, str) else line
    user, told = str(given["user"]), list(given["events"])
    context = [given["context"]] if given.get("context") else []
  except (ValueError, KeyError, TypeError) as error:
    raise ValueError(
      f"{at} is no request ({error!r}); write "
      '{"user": "u1", "events": [{"item": 7}]}'
    ) from error
  where, config = f"{at}, user {user!r}", retriever.config
  try:
    _expect(given, REQUEST, "the request")
    every = told + context
    events = _events(every, known, context=len(context))
    place = np.flatnonzero(histories.readable(events, config.data.inputs))
    longest = retriever.longest - 1 - len(context)
    if not place.size:
      raise ValueError(
        "the history is empty; give at least one event"
        + " that is not shown_only" * bool(told)
      )
    if (size := place.size - len(context)) > longest:
      if not config.decode.truncate:
        raise ValueError(
          f"the history has {size} events, more than the {longest} that fit; "
          f"give the latest {longest}, or set --config.decode.truncate=True"
        )
      place = place[size - longest :]
    read = events.where(place)
    features, unknown = _features(every, place, read, known, retriever)
  except (ValueError, KeyError, TypeError) as error:
    raise ValueError(f"{where}: {error}") from error
  dated = np.flatnonzero(events.time != schema.UNKNOWN_TIME)
  back = np.flatnonzero(np.diff(events.time[dated]) < 0)
  if back.size:
    raise ValueError(
      f"{where}: event {dated[back[0] + 1]} is earlier than the one before; "
      "sort the history by time, oldest first"
    )
  seen = events.seen(config.index.drop_seen)
  return Request(user, read, features, unknown, seen)


def _expect(names: Iterable[str], known: tuple[str, ...], whose: str) -> None:
  """Raises ValueError on a name there is not, which would go unread."""
  for name in names:
    if name not in known:
      raise ValueError(
        f"{whose} has {name!r}, which nothing reads; leave it out, or choose "
        f"from {', '.join(known)}"
      )


def _events(
  told: list[Any], known: catalogue.Catalogue, context: int
) -> schema.Events:
  """Returns the events; the last `context` of them are context."""
  vocabulary = known.vocabulary
  actions = np.zeros((len(told), len(vocabulary.actions)), np.uint8)
  for n, event in enumerate(told):
    if not isinstance(event, dict) or event.get("item") is None:
      raise ValueError(f"event {n} has no item")
    _expect(event, EVENT, f"event {n}")
    named = event.get("actions") or []
    if not isinstance(named, list | tuple):
      raise ValueError(f'event {n} has actions {named!r}; list them, ["click"]')
    for name in named:
      actions[n, vocabulary.action(name)] = 1
    if event.get("shown_only") not in (None, False, True):
      raise ValueError(
        f"event {n} has shown_only {event['shown_only']!r}; give true or false"
      )
    if event.get("shown_only") and actions[n, : vocabulary.outcomes].any():
      raise ValueError(
        f"event {n} has actions and is shown_only; leave out one of them"
      )
  rows = [
    known.row_of.get(str(event["item"]), schema.NO_ITEM) for event in told
  ]
  surfaces = [
    vocabulary.surface(event["surface"]) if event.get("surface") else 0
    for event in told
  ]
  last = np.arange(len(told)) >= len(told) - context
  shown = np.array([bool(event.get("shown_only")) for event in told], bool)
  return schema.Events(
    item=np.array(rows, np.int32),
    actions=actions,
    surface=np.array(surfaces, np.int32),
    item_type=np.zeros(len(told), np.int32),
    time=np.array([_time(n, event) for n, event in enumerate(told)], np.int64),
    session=np.full(len(told), schema.UNKNOWN_SESSION, np.int32),
    engaged=~last & ~shown,
    context=last,
  )


def _time(n: int, event: Mapping[str, Any]) -> int:
  time = event.get("time") or schema.UNKNOWN_TIME
  if not isinstance(time, int | float) or not 0 <= time < 2**32:
    raise ValueError(f"event {n} has time {time!r}; give unix seconds")
  return int(time)


def _features(
  told: list[Mapping[str, Any]],
  place: Int[np.ndarray, "l"],
  events: schema.Events,
  known: catalogue.Catalogue,
  retriever: retriever_lib.Retriever,
) -> tuple[items_lib.ItemFeatures, list[str]]:
  """Returns the item features of the events read, at `place` of those told.

  Those of items that are not known are made afresh.
  """
  features = retriever.features.take(events.item)
  model = retriever.config.model
  lost = np.flatnonzero(events.item == schema.NO_ITEM)
  unknown = [str(told[place[n]]["item"]) for n in lost]
  if unknown:
    features.rows[lost] = -1
    if not model.id_dropout:
      features.rows[lost] = items_lib.hashed_rows(
        unknown, model.hashes, model.rows
      )
    for n in lost:
      event = told[place[n]]
      given = event.get("features") or {}
      if not isinstance(given, dict):
        raise ValueError(
          f"event {place[n]} has features {given!r}; name them, as in "
          '{"tag": ["3"]}'
        )
      features.categorical[n] = known.encode(given)
      kind = event.get("item_type")
      features.item_type[n] = known.vocabulary.item_type(kind) if kind else 0
  return features, unknown


def rows(
  requests: list[Request], length: int
) -> tuple[histories.Tokens, items_lib.ItemFeatures]:
  """Returns a batch of histories and their items' features, [b l ...]."""
  tokens = histories.serving([r.events for r in requests], length)
  padded = []
  for request in requests:
    before = length - len(request.events)
    padded.append(
      items_lib.ItemFeatures(
        *(
          np.pad(column, [(before, 0)] + [(0, 0)] * (column.ndim - 1))
          for column in request.features
        )
      )
    )
  return tokens, items_lib.ItemFeatures(
    *(np.stack(column) for column in zip(*padded, strict=True))
  )


def response(
  request: Request,
  found: retriever_lib.Candidates,
  place: int,
  known: catalogue.Catalogue,
) -> dict[str, Any]:
  """Returns one user's candidates, fit for JSON."""
  names = (*known.vocabulary.outcome_names, None)  # -1 is the last: unspecified
  columns = zip(
    found.item[place],
    found.outcome[place],
    found.offset[place],
    found.step[place],
    found.score[place],
    strict=True,
  )
  answer: dict[str, Any] = {
    "user": request.user,
    "candidates": [
      {
        "item": np.asarray(known.items.ids[item]).item(),
        "outcome": names[outcome],
        "offset": int(offset) if offset >= 0 else None,
        "step": int(step),
        "score": round(float(score), 6),
      }
      for item, outcome, offset, step, score in columns
    ],
  }
  if request.unknown:
    answer["unknown_items"] = request.unknown
  return answer
