"""One bundle that is served: loaded, warm, and with its live items."""

import dataclasses
import pathlib
from collections.abc import Sequence

from pinrec_jax import config as config_lib
from pinrec_jax import pace
from pinrec_jax.inference import (
  answers,
  asks,
  bundle,
  bundle_folders,
  candidates,
  engine,
  requests,
  sizes,
)
from pinrec_jax.serve import live_items

BATCHES = (1, 4, 8, 16)  # Sizes of batches below the largest one.
LARGE = (1, 4)  # Sizes of batches of the largest requests.
SHORT = 4  # Histories up to this part of the longest one have their own size.
LISTS = ((64, 192), (128, 512))  # Candidates and neighbours of usual requests.


@dataclasses.dataclass(frozen=True)
class Serving:
  """A bundle that answers requests.

  Attributes:
    retriever: with the items of the bundle.
    live: the items as they change.
    defaults: what a request gets if it does not say otherwise.
    config: limits of requests.
  """

  retriever: engine.Retriever
  live: live_items.LiveItems
  defaults: asks.Defaults
  config: config_lib.Serve

  @property
  def bundle(self) -> bundle.Bundle:
    """The bundle that is served."""
    return self.retriever.bundle

  @property
  def version(self) -> str:
    """Version of the bundle."""
    return self.bundle.provenance.version

  def now(self) -> engine.Retriever:
    """Returns the retriever with the items of this moment."""
    return self.retriever.at(self.live.snapshot)

  def read(
    self, given: requests.Given, known: requests.History | None
  ) -> requests.Parsed:
    """Returns a checked request, or a failure that names the fault.

    Args:
      given: the request.
      known: the user's history, for a request without events.
    """
    events, limit = given.fields.events or (), self.config.max_events
    if len(events) > limit:
      return _beyond(given, "events", len(events), limit)
    parsed = self.now().reader.check(given, self.defaults, known)
    if isinstance(parsed, answers.Failure):
      return parsed
    ask, config = parsed.ask, self.config
    for field, size, limit in (
      ("candidates", parsed.candidates, config.max_candidates),
      ("steps", ask.steps, config.max_steps),
      ("offsets", len(ask.offsets), config.max_offsets),
      (
        "the items to leave out, seen or excluded",
        parsed.hidden,
        config.max_hidden,
      ),
    ):
      if size > limit:
        return _beyond(given, field, size, limit)
    return parsed

  def answer(
    self,
    given: Sequence[requests.Parsed],
    observe: candidates.Observe,
  ) -> list[answers.Answer | answers.Failure]:
    """Returns the answers to a batch, all from one snapshot."""
    return self.now().answer(given, observe=observe)


def _beyond(
  given: requests.Given, field: str, size: int, limit: int
) -> answers.Failure:
  """Returns the failure of a request that is too large."""
  return answers.Failure(
    f"user {given.user!r}: {field}: {size} is more than this server allows; "
    f"use {limit} or fewer",
    given.user,
  )


def load(
  folder: pathlib.Path,
  config: config_lib.Config,
  rest: pace.Rest = pace.unpaced,
  running: Serving | None = None,
) -> Serving:
  """Reads a bundle, compiles all programs and returns it.

  Args:
    folder: of the bundle, or of bundles, of which the current one is read.
    config: of decoding, the index and the server.
    rest: is called after each part of the work, for requests to another bundle.
    running: another bundle, whose compiled programs are used again.

  Raises:
    FileNotFoundError: if there is no such bundle.
    ValueError: if it is damaged.
  """
  given, serve = config_lib.inference(config), config.serve
  found = bundle.load(
    bundle_folders.find(folder),
    rest,
    decode=given.decode,
    index=given.index,
  )
  rest()
  live = live_items.LiveItems(found, live_items.KEEP + serve.deadline_ms / 1000)
  rest()
  retriever = engine.Retriever(
    found, items=live.snapshot, sizes=ladders(serve, found.config)
  )
  rest()
  warm = running.retriever if running else None
  retriever.warm_up(rest=rest, warm=warm)
  return Serving(retriever, live, retriever.reader.defaults(), serve)


def ladders(
  serve: config_lib.Serve, config: config_lib.Inference
) -> sizes.Sizes:
  """Returns the sizes that are compiled before a server is ready."""
  length = config.sequence_length
  batch = (*(n for n in BATCHES if n < serve.max_batch), serve.max_batch)
  steps, offsets = config.decode.steps, max(len(config.decode.offsets), 1)
  rungs = [
    sizes.Rung(
      batch, steps, offsets, min(candidates, serve.max_candidates), neighbours
    )
    for candidates, neighbours in LISTS
  ]
  largest = sizes.Rung(
    tuple(n for n in LARGE if n <= serve.max_batch),
    max(serve.max_steps, steps),
    max(serve.max_offsets, offsets),
    serve.max_candidates,
    serve.max_candidates + serve.max_hidden,
  )
  short = length // SHORT
  return sizes.Sizes((short, length) if short else (length,), (*rungs, largest))
