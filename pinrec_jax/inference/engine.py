"""The retriever: histories in, budgeted candidates out.

Evaluation, the command line and the server all use this one path.
"""

import copy
import itertools
import pathlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from pinrec_jax import compilation_cache, pace, sharding
from pinrec_jax.buckets import work_folder
from pinrec_jax.decode import budget as budget_lib
from pinrec_jax.inference import answers, generation, warming
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.inference import candidates as candidates_lib
from pinrec_jax.inference import items as items_lib
from pinrec_jax.inference import requests as requests_lib
from pinrec_jax.inference import sizes as sizes_lib
from pinrec_jax.model import item_embedder

MAX_BATCH = 256  # Requests that `retrieve` answers at once.
DIGITS = 6  # Of a score in an answer.


class Retriever:
  """A bundle that is ready for requests."""

  def __init__(
    self,
    bundle: bundle_lib.Bundle,
    *,
    items: items_lib.Items | None = None,
    sizes: sizes_lib.Sizes | None = None,
  ) -> None:
    """Puts the parameters on the device.

    Args:
      bundle: the model, its catalog and its index.
      items: the items that requests see; by default those of the bundle.
      sizes: the shapes that are compiled; by default powers of two.
    """
    self.bundle = bundle
    self.items: items_lib.Items = items or items_lib.BundleItems(bundle)
    self.sizes = sizes or sizes_lib.Sizes()
    self.reader = requests_lib.Reader(bundle, self.items)
    self._params = jax.device_put(bundle.params)

  def at(self, items: items_lib.Items) -> "Retriever":
    """Returns the same retriever with other items of the same bundle."""
    other = copy.copy(self)
    other.items = items
    other.reader = requests_lib.Reader(self.bundle, items)
    return other

  @classmethod
  def load(cls, path: str | pathlib.Path, **changes: Any) -> "Retriever":
    """Reads a bundle. Compiled programs come from the compilation cache.

    Args:
      path: a work folder, a folder of bundles, or a bundle; or its address,
        such as s3://bucket/run.
      **changes: fields to change, by path, such as
        `**{"decode.candidates": 10}`.

    Raises:
      FileNotFoundError: if there is no bundle.
      ValueError: if the bundle is damaged, another version wrote it, or JAX
        finds no device.
    """
    sharding.require_device()
    compilation_cache.enable()
    return cls(bundle_lib.load(work_folder.readable(path), **changes))

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

  def warm_up(
    self,
    most: int = 1,
    rest: pace.Rest = pace.unpaced,
    warm: "Retriever | None" = None,
  ) -> None:
    """Compiles every program that requests can need.

    It covers all of `sizes`. Without sizes, it covers batches up to `most`,
    whole histories, and the configured steps, offsets and candidates. A process
    that starts again finds the programs in the compilation cache.

    Args:
      most: requests in a batch.
      rest: is called after each program.
      warm: a retriever of this process that was warmed up. If it has the same
        programs, only the first one runs again.

    Raises:
      ValueError: if `most` is below 1.
    """
    if most < 1:
      raise ValueError(f"most is {most}; warm up for 1 request or more")
    self.embed(self.bundle.features.take(slice(0, 1)))
    cases = warming.cases(self.reader, self.sizes, most)
    if warm is not None and self._programs() == warm._programs():
      # It reads the parameters and the index, which are new.
      cases = itertools.islice(cases, 1)
    for requests, length, rung in cases:
      vectors = self.generate(requests, length=length, rung=rung)
      self.candidates(vectors, requests, rung)
      rest()

  def _programs(self) -> tuple[Any, ...]:
    """Returns what decides the programs: equal ones compile the same."""
    own = self.bundle
    # ScaNN compiles nothing.
    items = 0 if own.index.kind == "scann" else len(own.candidates)
    shapes = jax.tree.map(np.shape, own.params)
    # The model has the vocabulary, which the configuration lacks.
    return own.model, own.config, own.index.kind, items, self.sizes, shapes

  def answer(
    self,
    parsed: Sequence[requests_lib.Parsed],
    *,
    observe: candidates_lib.Observe = candidates_lib.unobserved,
  ) -> list[answers.Answer | answers.Failure]:
    """Returns one answer per request, in order.

    Small and large requests are answered in batches of their own. So a large
    request does not slow down the others.

    Args:
      parsed: from `reader.read`.
      observe: gets the seconds of the stages "model", "search" and "merge".
    """
    groups: dict[sizes_lib.Rung | None, list[int]] = {}
    for place, one in enumerate(parsed):
      if isinstance(one, requests_lib.Request):
        groups.setdefault(self.rung(one), []).append(place)
    found: list[Any] = [*parsed]
    for rung, places in groups.items():
      most = rung.batch[-1] if rung else len(places)
      for start in range(0, len(places), most):
        part = places[start : start + most]
        listed = self._answers([found[n] for n in part], rung, observe)
        for place, answer in zip(part, listed, strict=True):
          found[place] = answer
    return found

  def rung(self, request: requests_lib.Request) -> sizes_lib.Rung | None:
    """Returns the sizes that a request is answered in."""
    ask = request.ask
    return self.sizes.rung(
      ask.steps, len(ask.offsets), request.candidates, request.hidden
    )

  def _answers(
    self,
    requests: Sequence[requests_lib.Request],
    rung: sizes_lib.Rung | None,
    observe: candidates_lib.Observe,
  ) -> list[answers.Answer]:
    """Returns the answers to a batch."""
    size = sizes_lib.up(len(requests), rung.batch if rung else ())
    padded = [*requests, *[requests[0]] * (size - len(requests))]
    began = time.perf_counter()
    vectors = self.generate(padded, rung=rung)
    observe("model", time.perf_counter() - began)
    found = candidates_lib.find(self.items, vectors, padded, rung, observe)
    return [self.answer_of(one, found, row) for row, one in enumerate(requests)]

  def answer_of(
    self,
    request: requests_lib.Request,
    found: candidates_lib.Candidates,
    row: int = 0,
  ) -> answers.Answer:
    """Returns the answer to the request of one row of a batch."""
    bundle, names = self.bundle, (*self.outcomes, None)  # -1 is unspecified.
    rows = found.item[row, : request.candidates]
    rows = rows[rows >= 0]
    columns = (found.outcome, found.offset, found.step, found.score)
    listed = [
      answers.Candidate(
        item, names[of], at if at >= 0 else None, step, round(score, DIGITS)
      )
      for item, of, at, step, score in zip(
        self.items.ids(rows),
        *(column[row, : len(rows)].tolist() for column in columns),
        strict=True,
      )
    ]
    unknown = list(request.unknown.ids) if request.unknown else []
    return answers.Answer(
      user=request.user,
      candidates=listed,
      model_step=bundle.provenance.step,
      bundle=bundle.provenance.version,
      budget=budget_lib.as_json(request.ask.budget, bundle.vocabulary),
      achieved=answers.achieved(listed, self.outcomes),
      index=self.items.version,
      exact=bool(found.exact[row]),
      history=request.history,
      events_read=len(request.events),
      events_dropped=request.dropped,
      unknown_items=[
        *unknown,
        *(request.filters.unknown if request.filters else ()),
      ],
    )

  def generate(
    self,
    requests: Sequence[requests_lib.Request],
    *,
    length: int | None = None,
    rung: sizes_lib.Rung | None = None,
  ) -> generation.Vectors:
    """Generates the vectors of a batch and merges near-duplicates.

    Args:
      requests: the batch.
      length: positions of a history; by default enough for every request.
      rung: the sizes to use; by default they are rounded up to powers of two.
    """
    if length is None:
      length = self.reader.max_tokens(min(r.ask.steps for r in requests))
      if self.sizes.length:
        needed = 1 + max(len(request.events) for request in requests)
        length = sizes_lib.up(needed, self.sizes.length)
    return generation.generate(
      self.bundle, self.items, self._params, requests, rung, length
    )

  def embed(
    self, features: item_embedder.ItemFeatures
  ) -> Float[np.ndarray, "v d"]:
    """Returns the unit-norm vectors of items."""
    return generation.embed(self.bundle.model, self._params, features)

  def candidates(
    self,
    vectors: generation.Vectors,
    requests: Sequence[requests_lib.Request],
    rung: sizes_lib.Rung | None = None,
  ) -> candidates_lib.Candidates:
    """Returns the list of every request."""
    return candidates_lib.find(self.items, vectors, requests, rung)
