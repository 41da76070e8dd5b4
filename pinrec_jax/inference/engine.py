"""The retriever: histories in, budgeted candidates out.

Evaluation, the command line and the server all use this one path.
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from pinrec_jax import compilation_cache, sharding
from pinrec_jax.decode import budget as budget_lib
from pinrec_jax.index import merge_lists
from pinrec_jax.inference import answers, generation
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.inference import requests as requests_lib

MAX_BATCH = 256  # Requests that `retrieve` answers at once.
SEEN_STEP = 64  # Seen items are padded to a multiple of this.
DIGITS = 6  # Of a score in an answer.


class Candidates(NamedTuple):
  """The lists of a batch, best first.

  Attributes:
    item: rows of the item table; -1 where a list is shorter.
    score: cosine with the vector that found the item.
    outcome: outcome of that vector; -1 is unspecified.
    offset: its offset in seconds; -1 is the next event.
    step: its generation step.
  """

  item: Int[np.ndarray, "b c"]
  score: Float[np.ndarray, "b c"]
  outcome: Int[np.ndarray, "b c"]
  offset: Int[np.ndarray, "b c"]
  step: Int[np.ndarray, "b c"]


class Retriever:
  """A bundle that is ready for requests."""

  def __init__(self, bundle: bundle_lib.Bundle) -> None:
    self.bundle = bundle
    self.reader = requests_lib.Reader(bundle)
    self._params = jax.device_put(bundle.params)
    self._place_of = np.full(len(bundle.vectors), -1, np.int32)
    self._place_of[bundle.candidates] = np.arange(len(bundle.candidates))

  @classmethod
  def load(cls, path: str | pathlib.Path, **changes: Any) -> "Retriever":
    """Reads a bundle. Compiled programs come from the compilation cache.

    Args:
      path: a work folder, a folder of bundles, or a bundle.
      **changes: fields to change, by path, such as
        `**{"decode.candidates": 10}`.

    Raises:
      FileNotFoundError: if there is no bundle.
      ValueError: if the bundle is damaged, another version wrote it, or JAX
        finds no device.
    """
    sharding.require_device()
    compilation_cache.enable()
    return cls(bundle_lib.load(pathlib.Path(path).expanduser(), **changes))

  @property
  def outcomes(self) -> tuple[str, ...]:
    """The outcomes that a budget may name."""
    return self.bundle.vocabulary.outcome_names

  @property
  def surfaces(self) -> tuple[str, ...]:
    """The surfaces that an event or a request may name."""
    return self.bundle.vocabulary.surfaces

  def retrieve(
    self,
    requests: Iterable[str | bytes | Mapping[str, Any]],
    *,
    budget: str | Mapping[str, float] | None = None,
    candidates: int | None = None,
  ) -> Iterator[dict[str, Any]]:
    """Yields an answer for each request: candidates, or an error of its own.

    Args:
      requests: mappings or lines of JSON, such as {"user": "u", "events":
        [{"item": 7, "actions": ["click"], "time": 1650000000}]}, oldest event
        first. docs/requests.md lists all fields.
      budget: default of requests without a budget, as a mapping or as
        "click:0.7,like:0.3". Otherwise the configuration's budget is used.
      candidates: default length of a list, instead of the configuration's.

    Yields:
      {"user", "candidates": [{"item", "outcome", "offset", "step", "score"}],
      ...}, best first, or {"user", "error"}.

    Raises:
      ValueError: if the default budget or length is invalid.
    """
    defaults = self.reader.defaults(budget=budget, candidates=candidates)
    batch: list[requests_lib.Parsed] = []
    for number, given in enumerate(requests, start=1):
      if isinstance(given, str | bytes) and not given.strip():
        continue
      batch.append(self.reader.read(given, f"request {number}", defaults))
      if len(batch) == MAX_BATCH:
        yield from map(answers.as_json, self.answer(batch))
        batch = []
    yield from map(answers.as_json, self.answer(batch))

  def warm_up(self, most: int = 1, *, candidates: int | None = None) -> None:
    """Compiles for batches of up to `most` requests, before there are any.

    It covers the configured steps and offsets, and histories that the model
    reads whole. A process that starts again finds the programs in the
    compilation cache.

    Args:
      most: requests in a batch.
      candidates: length of a list, instead of the configuration's.

    Raises:
      ValueError: if a number is below 1.
    """
    if most < 1:
      raise ValueError(f"most is {most}; warm up for 1 request or more")
    request = self.reader.read(
      {"user": "warm-up"}, "", self.reader.defaults(candidates=candidates)
    )
    assert isinstance(request, requests_lib.Request)
    longest = self.reader.max_tokens(request.ask.steps)
    for power in range((most - 1).bit_length() + 1):
      for seen in range(1, longest, SEEN_STEP):
        items = self.bundle.candidates[:seen]
        batch = [dataclasses.replace(request, seen=items)] * (1 << power)
        vectors = self.generate(batch)
        share = np.zeros(vectors.share.size, np.float32)
        for count in (1 << n for n in range(len(share).bit_length())):
          share[:count] = 1 / count  # Merging leaves 1 vector, or more.
          self.candidates(
            vectors._replace(share=share.reshape(vectors.share.shape)), batch
          )

  def answer(
    self, parsed: Sequence[requests_lib.Parsed]
  ) -> list[answers.Answer | answers.Failure]:
    """Returns one answer per request, in order."""
    valid = [p for p in parsed if isinstance(p, requests_lib.Request)]
    found: Iterator[answers.Answer] = iter(())
    if valid:
      padding = generation.rung(len(valid)) - len(valid)
      padded = [*valid, *valid[:1] * padding]
      listed = self.candidates(self.generate(padded), padded)
      found = (
        self._answer(request, listed, row) for row, request in enumerate(valid)
      )
    return [
      next(found) if isinstance(p, requests_lib.Request) else p for p in parsed
    ]

  def _answer(
    self, request: requests_lib.Request, found: Candidates, row: int
  ) -> answers.Answer:
    """Returns the answer to one request of a batch."""
    bundle, names = self.bundle, (*self.outcomes, None)  # -1 is unspecified.
    rows = found.item[row, : request.candidates]
    rows = rows[rows >= 0]
    columns = (found.outcome, found.offset, found.step, found.score)
    listed = [
      answers.Candidate(
        item, names[of], at if at >= 0 else None, step, round(score, DIGITS)
      )
      for item, of, at, step, score in zip(
        bundle.catalog.items.ids[rows].tolist(),
        *(column[row, : len(rows)].tolist() for column in columns),
        strict=True,
      )
    ]
    return answers.Answer(
      user=request.user,
      candidates=listed,
      model_step=bundle.provenance.step,
      bundle=bundle.provenance.version,
      budget=budget_lib.as_json(request.ask.budget, bundle.vocabulary),
      achieved=answers.achieved(listed, self.outcomes),
      events_read=len(request.events),
      events_dropped=request.dropped,
      unknown_items=[*request.unknown.ids] if request.unknown else [],
    )

  def generate(
    self,
    requests: Sequence[requests_lib.Request],
    *,
    length: int | None = None,
  ) -> generation.Vectors:
    """Generates the vectors of a batch and merges near-duplicates.

    Args:
      requests: the batch.
      length: positions of a history; by default enough for every request.
    """
    if length is None:
      length = self.reader.max_tokens(min(r.ask.steps for r in requests))
    return generation.generate(self.bundle, self._params, requests, length)

  def search(
    self, vectors: generation.Vectors, k: int, *, merged: bool = True
  ) -> tuple[Int[np.ndarray, "b q k"], Float[np.ndarray, "b q k"]]:
    """Returns the nearest candidates of every vector, as places of the index.

    Args:
      vectors: of a batch.
      k: neighbours of each vector.
      merged: search for the vectors that have a share after merging. False
        searches for all vectors that have a budget.

    Returns:
      Places in `bundle.candidates`, -1 where there is none, and cosines.
    """
    kept = (vectors.share if merged else vectors.budget) > 0
    size = min(k, len(self.bundle.candidates))
    place, score = self.bundle.index.search(vectors.query[kept], size)
    places = np.full((*kept.shape, k), -1, np.int32)
    scores = np.full((*kept.shape, k), -np.inf, np.float32)
    places[kept, :size], scores[kept, :size] = place, score
    return places, scores

  def candidates(
    self, vectors: generation.Vectors, requests: Sequence[requests_lib.Request]
  ) -> Candidates:
    """Returns the list of every request.

    A list is shorter than asked for if too few items are left for the user.
    """
    total = len(self.bundle.candidates)
    size = min(max(request.candidates for request in requests), total)
    hidden = self._hidden(requests)
    k = min(size + hidden.shape[1], total)
    places, scores = self.search(vectors, k)
    merged = merge_lists.merge(places, scores, vectors.share, hidden, size=size)
    place, query, score = (np.asarray(column) for column in merged)
    return Candidates(
      self.rows_of(place),
      score,
      *(
        np.take_along_axis(column, query, 1)
        for column in (vectors.outcome, vectors.offset, vectors.step)
      ),
    )

  def rows_of(self, place: Int[np.ndarray, "*b"]) -> Int[np.ndarray, "*b"]:
    """Returns the item rows of places in the index; -1 stays."""
    return np.where(place < 0, -1, self.bundle.candidates[place])

  def history_places(
    self, requests: Sequence[requests_lib.Request], length: int
  ) -> Int[np.ndarray, "b l"]:
    """Returns the places of history items in the index; -1 is none.

    Args:
      requests: a batch.
      length: positions of a history; the start token takes one.
    """
    places = np.full((len(requests), length), -1, np.int32)
    for row, request in enumerate(requests):
      own = self._place_of[request.events.item]
      places[row, length - len(own) :] = own
    return places

  def _hidden(
    self, requests: Sequence[requests_lib.Request]
  ) -> Int[np.ndarray, "b s"]:
    """Returns the places to leave out of each list; -1 pads."""
    places = [np.unique(self._place_of[request.seen]) for request in requests]
    widest = max([1, *map(len, places)])
    hidden = np.full((len(places), -(-widest // SEEN_STEP) * SEEN_STEP), -1)
    for row, own in enumerate(places):
      hidden[row, : len(own)] = own
    return hidden.astype(np.int32)
