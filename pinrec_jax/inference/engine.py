"""The retriever: histories in, budgeted candidates out.

Evaluation, the command line and the server all use this one path.
"""

import functools
import pathlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pinrec_jax.data import histories, schema
from pinrec_jax.decode import budget as budget_lib
from pinrec_jax.decode import conditions as conditions_lib
from pinrec_jax.decode import generate, merge_duplicates
from pinrec_jax.index import merge_lists
from pinrec_jax.inference import answers
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.inference import requests as requests_lib
from pinrec_jax.model import pinrec
from pinrec_jax.types import AnyArray, Params

MAX_BATCH = 256  # Requests that `retrieve` answers at once.
# Sizes are rounded up to these steps, so that few programs are compiled.
SEEN_STEP = 64
UNKNOWN_STEP = 64
DIGITS = 6  # Of a score in an answer.


class Vectors(NamedTuple):
  """Vectors that were generated for a batch, in the order of generation.

  A request may have fewer vectors than others. The rest has a share of 0.

  Attributes:
    query: unit-norm vectors.
    budget: share of the candidates before near-duplicates were merged.
    share: share of the candidates after that.
    outcome: index of the outcome; -1 is unspecified.
    offset: seconds ahead; -1 is the next event.
    step: generation step, from 0.
  """

  query: Float[np.ndarray, "b q d"]
  budget: Float[np.ndarray, "b q"]
  share: Float[np.ndarray, "b q"]
  outcome: Int[np.ndarray, "b q"]
  offset: Int[np.ndarray, "b q"]
  step: Int[np.ndarray, "b q"]


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
    """Reads a bundle.

    Args:
      path: a work folder, a folder of bundles, or a bundle.
      **changes: fields to change, by path, such as
        `**{"decode.candidates": 10}`.

    Raises:
      FileNotFoundError: if there is no bundle.
      ValueError: if the bundle is damaged, or another version wrote it.
    """
    folder = pathlib.Path(path).expanduser()
    return cls(bundle_lib.load(folder, **changes))

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
      candidates: default length of a list, likewise.

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

  def answer(
    self, parsed: Sequence[requests_lib.Parsed]
  ) -> list[answers.Answer | answers.Failure]:
    """Returns one answer per request, in order."""
    valid = [p for p in parsed if isinstance(p, requests_lib.Request)]
    found: Iterator[answers.Answer] = iter(())
    if valid:
      # A power of two, so that few batch sizes are compiled.
      padding = (1 << (len(valid) - 1).bit_length()) - len(valid)
      padded = [*valid, *valid[:1] * padding]
      vectors = self.generate(padded)
      listed = self.candidates(vectors, padded)
      found = (
        _answer(request, listed, row, self.bundle)
        for row, request in enumerate(valid)
      )
    return [
      next(found) if isinstance(p, requests_lib.Request) else p for p in parsed
    ]

  def generate(
    self,
    requests: Sequence[requests_lib.Request],
    *,
    length: int | None = None,
  ) -> Vectors:
    """Generates the vectors of a batch and merges near-duplicates.

    Args:
      requests: the batch.
      length: positions of a history; by default as many as any request may
        have.
    """
    asks = [request.ask for request in requests]
    steps = _ladder(max(ask.steps for ask in asks))
    offsets = _ladder(max(len(ask.offsets) for ask in asks))
    conditions, budget = conditions_lib.of_batch(
      asks, offsets=offsets, steps=steps
    )
    flat = budget.reshape(len(asks), -1)
    width = min(_ladder(int((flat > 0).sum(1).max())), flat.shape[1])
    # Vectors with a budget come first, in the order of generation.
    select = np.argsort(flat == 0, axis=1, kind="stable")[:, :width]
    budget = np.take_along_axis(flat, select, 1)
    tokens = histories.serving(
      [request.events for request in requests],
      length or self.reader.max_tokens(min(ask.steps for ask in asks)),
    )
    query, share = _vectors(
      self.bundle.model,
      self._params,
      self._item_vectors(requests, tokens),
      tokens,
      conditions,
      np.array([_number(request) for request in requests], np.uint32),
      select,
      budget,
      steps=steps,
      threshold=self.bundle.config.decode.dedup_threshold,
      seed=self.bundle.config.seed,
    )
    queries = len(conditions.outcome)
    which = select % queries
    return Vectors(
      query=np.asarray(query),
      budget=budget,
      share=np.asarray(share),
      outcome=np.asarray(conditions.outcome)[which] - 1,
      offset=np.take_along_axis(np.asarray(conditions.offset), which, 1),
      step=(select // queries).astype(np.int32),
    )

  def _item_vectors(
    self, requests: Sequence[requests_lib.Request], tokens: schema.Tokens
  ) -> Float[np.ndarray, "b l d"]:
    """Returns the vectors of all history items, known or not."""
    vectors = self.bundle.vectors[tokens.item]
    unknown = [r for r in requests if r.unknown_features is not None]
    if not unknown:
      return vectors
    features = jax.tree.map(
      lambda *parts: np.concatenate(parts),
      *(request.unknown_features for request in unknown),
    )
    size = len(features.item_type)
    fill = -size % UNKNOWN_STEP
    padded = jax.tree.map(
      lambda x: np.pad(x, [(0, fill)] + [(0, 0)] * (x.ndim - 1)), features
    )
    found = np.asarray(pinrec.embed(self.bundle.model, self._params, padded))
    first = 0
    for row, request in enumerate(requests):
      if request.unknown_features is not None:
        place = request.unknown_place - len(request.events)  # from the right
        vectors[row, place] = found[first : first + len(place)]
        first += len(place)
    return vectors

  def search(
    self, vectors: Vectors, k: int, *, merged: bool = True
  ) -> tuple[Int[np.ndarray, "b q k"], Float[np.ndarray, "b q k"]]:
    """Returns the nearest candidates of every vector, as places of the index.

    Args:
      vectors: of a batch.
      k: neighbours of each vector.
      merged: search for the vectors that have a share after merging. False
        searches for all that were asked for.

    Returns:
      Places in `bundle.candidates`, -1 where there is none, and cosines.
    """
    kept = (vectors.share if merged else vectors.budget) > 0
    place, score = self.bundle.index.search(vectors.query[kept], k)
    places = np.full((*kept.shape, k), -1, np.int32)
    scores = np.full((*kept.shape, k), -np.inf, np.float32)
    places[kept], scores[kept] = place, score
    return places, scores

  def candidates(
    self, vectors: Vectors, requests: Sequence[requests_lib.Request]
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


def _answer(
  request: requests_lib.Request,
  found: Candidates,
  row: int,
  bundle: bundle_lib.Bundle,
) -> answers.Answer:
  """Returns the answer to one request of a batch."""
  names = (*bundle.vocabulary.outcome_names, None)  # -1 is unspecified.
  rows = found.item[row, : request.candidates]
  rows = rows[rows >= 0]
  size = len(rows)
  outcome = found.outcome[row, :size].tolist()
  columns = zip(
    bundle.catalog.items.ids[rows].tolist(),
    outcome,
    found.offset[row, :size].tolist(),
    found.step[row, :size].tolist(),
    found.score[row, :size].tolist(),
    strict=True,
  )
  counts = {name: outcome.count(n) for n, name in enumerate(names[:-1])}
  counts[budget_lib.UNSPECIFIED] = outcome.count(-1)
  return answers.Answer(
    user=request.user,
    candidates=[
      answers.Candidate(
        item, names[of], at if at >= 0 else None, step, round(score, DIGITS)
      )
      for item, of, at, step, score in columns
    ],
    model_step=bundle.provenance.step,
    bundle=bundle.provenance.version,
    budget=budget_lib.as_json(request.ask.budget, bundle.vocabulary),
    achieved={n: count / size for n, count in counts.items() if count},
    events_read=len(request.events),
    events_dropped=request.dropped,
    unknown_items=request.unknown,
  )


def _ladder(number: int) -> int:
  """Returns the next power of two."""
  return 1 << (number - 1).bit_length()


def _number(request: requests_lib.Request) -> int:
  """Returns the seed of a request's draws: of the user and the request id."""
  return zlib.crc32(f"{request.user}\0{request.request_id}".encode())


@functools.partial(
  jax.jit, static_argnames=("model", "steps", "threshold", "seed")
)
def _vectors(
  model: pinrec.PinRec,
  params: Params,
  item_vectors: Float[AnyArray, "b l d"],
  tokens: schema.Tokens,
  conditions: conditions_lib.Conditions,
  number: Int[AnyArray, "b"],
  select: Int[AnyArray, "b q"],
  budget: Float[AnyArray, "b q"],
  *,
  steps: int,
  threshold: float,
  seed: int,
) -> tuple[Float[Array, "b q d"], Float[Array, "b q"]]:
  """Returns the selected vectors and their shares after merging."""
  keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), number)
  query = generate.generate(
    model, params, item_vectors, tokens, conditions, keys, steps=steps
  )
  query = query.reshape(len(query), -1, query.shape[-1])
  query = jnp.take_along_axis(query, select[..., None], 1)
  share = merge_duplicates.merge_duplicates(query, budget, threshold=threshold)
  return query, share
