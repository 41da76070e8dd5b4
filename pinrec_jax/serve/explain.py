"""What the page shows beside an answer."""

import functools
import pathlib
import time
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float

from pinrec_jax import config as config_lib
from pinrec_jax.data import schema
from pinrec_jax.decode import budget as budget_lib
from pinrec_jax.inference import (
  answers,
  bundle,
  candidates,
  engine,
  generation,
  requests,
  wire,
)
from pinrec_jax.serve import readable, serving, snapshots

BACKGROUND = 800  # Items of the map that are drawn as its background.
SAMPLE_USERS = 40
# Seconds ahead that the page can ask for; -1 is the next event.
OFFSETS = (-1, 3600, 86_400, 604_800)
OUTLINE = 4  # Decimals of a position on the map.
TWIN_LISTS = 256  # Lists of the twin that are kept.


class Twin:
  """The unconditioned model that the page shows for comparison.

  Its lists do not depend on the budget, so the last ones are kept.
  """

  def __init__(self, retriever: engine.Retriever) -> None:
    self._retriever = retriever
    self._defaults = retriever.reader.defaults()
    self.items = functools.lru_cache(TWIN_LISTS)(self._items)

  def _items(self, body: bytes) -> list[Any]:
    """Returns the ids that a request finds; none if it is invalid here."""
    fields = wire.decode(body)
    given = requests.Given("", fields, wire.id_text(fields.user, "user"))
    parsed = self._retriever.reader.check(given, self._defaults)
    (answer,) = self._retriever.answer([parsed])
    if isinstance(answer, answers.Failure):
      return []
    return [one.item for one in answer.candidates]


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
  return Twin(retriever)


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
    "background": _places(own, _some_vectors(found)),
  }


def explain(
  own: serving.Serving,
  request: requests.Request,
  body: bytes,
  twin: Twin | None,
) -> dict[str, Any]:
  """Returns an answer, lists beside it, the map, and the time of each stage."""
  seconds: dict[str, float] = {}

  def _observe(stage: str, spent: float) -> None:
    seconds[stage] = seconds.get(stage, 0) + spent

  began = time.perf_counter()
  retriever, snapshot = own.now(), own.live.snapshot
  # The steps of `Retriever.answer`, because the map shows the vectors, too.
  rung = retriever.rung(request)
  vectors = retriever.generate([request], rung=rung)
  _observe("model", time.perf_counter() - began)
  found = candidates.find(snapshot, vectors, [request], rung, _observe)
  answer = retriever.answer_of(request, found)
  _observe("total", time.perf_counter() - began)
  began = time.perf_counter()
  other = twin.items(_for_twin(own, request, body)) if twin else []
  popular = own.bundle.popular
  popular = popular[~np.isin(popular, request.seen)]
  popularity = snapshot.ids(popular[: request.candidates])
  listed = [one.item for one in answer.candidates]
  shown = {
    "answer": msgspec.to_builtins(answer),
    "items": readable.about(snapshot, [*listed, *other, *popularity]),
    "twin": other if twin else None,
    "popularity": popularity,
    "map": _map(own, snapshot, request, vectors, found),
  }
  _observe("lists beside it", time.perf_counter() - began)
  shown["milliseconds"] = {k: 1000 * spent for k, spent in seconds.items()}
  return shown


def _for_twin(
  own: serving.Serving, request: requests.Request, body: bytes
) -> bytes:
  """Returns a request for the same history that asks for nothing."""
  fields = wire.decode(body)
  fields.budget = fields.surface = fields.item_type = None
  fields.offsets = fields.age = fields.steps = None
  fields.candidates = request.candidates
  if fields.events is None:
    read = request.events.where(request.events.item != schema.NO_ITEM)
    fields.events = [readable.written(own, read, n) for n in range(len(read))]
  return msgspec.json.encode(fields)


def _map(
  own: serving.Serving,
  snapshot: snapshots.Snapshot,
  request: requests.Request,
  vectors: generation.Vectors,
  found: candidates.Candidates,
) -> dict[str, Any]:
  """Returns where history, vectors and recommended items are on the map."""
  kept = vectors.share[0] > 0
  names = (*own.retriever.outcomes, None)  # -1 is unspecified.
  rows = found.item[0, : request.candidates]
  read = request.events.item[request.events.item != schema.NO_ITEM]
  columns = (vectors.outcome, vectors.offset, vectors.step)
  return {
    "history": _places(own, snapshot.vectors(read)),
    "history_items": snapshot.ids(read),
    "items": _places(own, snapshot.vectors(rows[rows >= 0])),
    "vectors": [
      {"at": at, "outcome": names[outcome], "offset": offset, "step": step}
      for at, outcome, offset, step in zip(
        _places(own, np.asarray(vectors.query)[0][kept]),
        *(column[0][kept].tolist() for column in columns),
        strict=True,
      )
    ],
  }


def _some_vectors(found: bundle.Bundle) -> Float[np.ndarray, "n d"]:
  count = len(found.candidates)
  places = np.linspace(0, count - 1, min(count, BACKGROUND)).astype(int)
  return found.vectors[found.candidates[places]]


def _places(
  own: serving.Serving, vectors: Float[np.ndarray, "n d"]
) -> list[list[float]]:
  """Returns vectors on the map of the first two principal components."""
  mean, *axes = own.bundle.projection
  places = (vectors - mean) @ np.stack(axes).T
  return places.astype(np.float64).round(OUTLINE).tolist()
