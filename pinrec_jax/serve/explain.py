"""What the page shows beside an answer."""

import pathlib
import time
from typing import Any, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float

from pinrec_jax import config as config_lib
from pinrec_jax.data import schema
from pinrec_jax.decode import budget as budget_lib
from pinrec_jax.inference import answers, asks, bundle, engine, requests, wire
from pinrec_jax.serve import messages, serving, snapshots

BACKGROUND = 800  # Items of the map that are drawn as its background.
SAMPLE_USERS = 40
# Seconds ahead that the page can ask for; -1 is the next event.
OFFSETS = (-1, 3600, 86_400, 604_800)
OUTLINE = 6  # Decimals of a position on the map.


class Twin(NamedTuple):
  """The unconditioned model that the page shows for comparison."""

  retriever: engine.Retriever
  defaults: asks.Defaults


def load_twin(folder: pathlib.Path, config: config_lib.Config) -> Twin:
  """Reads the twin's bundle, and compiles its programs for one request.

  Raises:
    FileNotFoundError: if there is no bundle.
    ValueError: if it is damaged.
  """
  found = bundle.load(folder)
  own = config_lib.replace(
    config.serve,
    max_batch=1,
    max_steps=found.config.decode.steps,
    max_offsets=1,
  )
  retriever = engine.Retriever(found, sizes=serving.ladders(own, found.config))
  retriever.warm_up()
  return Twin(retriever, retriever.reader.defaults())


def info(own: serving.Serving) -> dict[str, Any]:
  """Returns what a client can ask a bundle for."""
  names, found = own.bundle.vocabulary, own.bundle
  conditioned = found.config.model.conditioned
  budget = own.defaults.ask.budget
  serve = own.config
  steps = min(serve.max_steps, found.config.sequence_length - 1)
  return {
    "bundle": own.version,
    "model_step": found.provenance.step,
    "items": own.live.snapshot.count,
    "conditioned": conditioned,
    "outcomes": list(names.outcome_names) if conditioned else [],
    "actions": list(names.actions),
    "surfaces": list(names.surfaces),
    "item_types": list(names.item_types),
    "features": [feature.name for feature in names.features],
    "budget": budget_lib.as_json(budget, names),
    "offsets": list(OFFSETS[: serve.max_offsets]),
    "limits": {
      "candidates": min(serve.max_candidates, own.live.snapshot.count),
      "steps": steps,
      "offsets": min(serve.max_offsets, len(OFFSETS)),
    },
    "sample_users": found.users.sample(SAMPLE_USERS),
  }


def explain(
  own: serving.Serving,
  request: requests.Request,
  body: bytes,
  twin: Twin | None,
) -> dict[str, Any]:
  """Returns an answer, lists beside it, the map, and the time of each stage."""
  seconds: dict[str, float] = {}

  def observe(stage: str, spent: float) -> None:
    seconds[stage] = seconds.get(stage, 0) + spent

  began = time.perf_counter()
  retriever = own.now()
  (answer,) = retriever.answer([request], observe=observe)
  seconds["total"] = time.perf_counter() - began
  assert isinstance(answer, answers.Answer)
  vectors = retriever.generate([request])
  snapshot = own.live.snapshot
  size = request.candidates
  other = _of_twin(twin, body, size) if twin is not None else []
  seen = set(request.seen.tolist())
  popular = own.bundle.popular
  popular = [row for row in popular.tolist() if row not in seen][:size]
  popularity = list(snapshot.ids(np.array(popular, np.int32)))
  listed = [one.item for one in answer.candidates]
  about = {
    str(item): snapshot.features(row)
    for item in [*listed, *other, *popularity]
    if (row := snapshot.row_of.get(str(item))) is not None
  }
  rows = np.array([snapshot.row_of[str(item)] for item in listed], np.int32)
  kept = vectors.share[0] > 0
  names = (*own.retriever.outcomes, None)  # -1 is unspecified.
  return {
    "answer": msgspec.to_builtins(answer),
    "items": about,
    "milliseconds": {k: 1000 * spent for k, spent in seconds.items()},
    "twin": {
      "title": "Unconditioned twin" if twin else "No unconditioned twin here",
      "items": other,
    },
    "popularity": popularity,
    "map": {
      "history": _places(own, snapshot.vectors(request.events.item)),
      "vectors": [
        {"at": at, "outcome": names[outcome]}
        for at, outcome in zip(
          _places(own, vectors.query[0][kept]),
          vectors.outcome[0][kept].tolist(),
          strict=True,
        )
      ],
      "items": [
        {"at": at, "outcome": one.outcome}
        for at, one in zip(
          _places(own, snapshot.vectors(rows)), answer.candidates, strict=True
        )
      ],
      "background": _places(own, _some_vectors(own.bundle)),
    },
  }


def _of_twin(twin: Twin, body: bytes, size: int) -> list[Any]:
  """Returns the items that the unconditioned twin would list."""
  fields = wire.decode(body)
  fields.budget = fields.surface = fields.item_type = None
  fields.offsets = fields.age = fields.steps = None
  fields.candidates = size
  given = requests.Given("", fields, wire.id_text(fields.user, "user"))
  parsed = twin.retriever.reader.check(given, twin.defaults)
  (answer,) = twin.retriever.answer([parsed])
  if isinstance(answer, answers.Failure):
    return []
  return [one.item for one in answer.candidates]


def _some_vectors(found: bundle.Bundle) -> Float[np.ndarray, "n d"]:
  count = len(found.candidates)
  places = np.linspace(0, count - 1, min(count, BACKGROUND)).astype(int)
  return found.vectors[found.candidates[places]]


def _places(
  own: serving.Serving, vectors: Float[np.ndarray, "n d"]
) -> list[list[float]]:
  """Returns vectors on the map of the first two principal components."""
  mean, *axes = own.bundle.projection
  return np.round((vectors - mean) @ np.stack(axes).T, OUTLINE).tolist()


def history(
  own: serving.Serving, known: requests.History
) -> tuple[list[dict[str, Any]], dict[str, dict[str, list[str]]]]:
  """Returns events as they are written, and the features of their items."""
  snapshot, names = own.live.snapshot, own.bundle.vocabulary
  listed, about = [], {}
  events = known.events
  for n, given in enumerate(known.given):
    row = int(events.item[n])
    if given is not None and row == schema.NO_ITEM:
      listed.append(_shown(given))
      continue
    (item,) = snapshot.ids(events.item[n : n + 1])
    about[str(item)] = snapshot.features(row)
    chosen = np.flatnonzero(events.actions[n]).tolist()
    event = wire.EventFields(item, [names.actions[a] for a in chosen])
    if events.surface[n]:
      event.surface = names.surfaces[events.surface[n]]
    if events.time[n] != schema.UNKNOWN_TIME:
      event.time = int(events.time[n])
    if not events.engaged[n]:
      event.shown_only = True
    listed.append(_shown(event))
  return listed, about


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
    query: a part of an id or of a feature; an empty one matches all.
    limit: items of the page.
    after: number of matches to leave out.
  """
  rows = snapshot.matching(query)
  page = rows[after : after + limit]
  types = found.vocabulary.item_types
  listed = [
    messages.Item(
      item, types[kind], snapshot.features(row), row >= len(found.vectors)
    )
    for row, item, kind in zip(
      page.tolist(), snapshot.ids(page), snapshot.types(page), strict=True
    )
  ]
  end = after + len(page)
  return messages.Items(listed, len(rows), end if end < len(rows) else None)
