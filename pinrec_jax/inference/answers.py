"""Answers to requests: candidates with their provenance, or a failure."""

from collections.abc import Sequence
from typing import Any

import msgspec

from pinrec_jax.decode import budget as budget_lib


class Candidate(msgspec.Struct):
  """One recommended item.

  Attributes:
    item: the item's own id.
    outcome: outcome of the vector that found it; None if unspecified.
    offset: offset of that vector in seconds; None is the next event.
    step: generation step of that vector, from 0.
    score: cosine of the item with that vector.
  """

  item: int | float | str
  outcome: str | None
  offset: int | None
  step: int
  score: float


class Answer(msgspec.Struct, omit_defaults=True):
  """The answer to one request.

  Attributes:
    user: the user's id.
    candidates: the list, best first.
    model_step: step of the checkpoint that the bundle was made from.
    bundle: version of the bundle.
    budget: the shares that were asked for.
    achieved: the shares of the list, by the outcomes of the vectors that found
      the items.
    index: version of the items; 0 are those of the bundle.
    exact: whether every allowed item was compared.
    history: "request" if the events of the request were read, "stored" if
      those that are known of the user were read, and "none" if there were no
      events. Then the model starts from its start token.
    events_read: events that the model read.
    events_dropped: older events that did not fit.
    unknown_items: items of the history or the filters that the catalog does not
      have.
  """

  user: str
  candidates: list[Candidate]
  model_step: int
  bundle: str
  budget: dict[str, float]
  achieved: dict[str, float]
  index: int
  exact: bool
  history: str
  events_read: int
  events_dropped: int = 0
  unknown_items: list[str] = []


class Failure(msgspec.Struct, frozen=True):
  """Why a request has no candidates.

  Attributes:
    error: a sentence that names the request, the field and the remedy.
    user: the user's id, if it could be read.
  """

  error: str
  user: str | None = None


def achieved(
  candidates: Sequence[Candidate], outcomes: Sequence[str]
) -> dict[str, float]:
  """Returns the share of a list for each outcome that found an item."""
  found = [one.outcome or budget_lib.UNSPECIFIED for one in candidates]
  names = (*outcomes, budget_lib.UNSPECIFIED)
  counts = {name: found.count(name) for name in names}
  return {name: n / len(found) for name, n in counts.items() if n}


def as_json(given: Answer | Failure) -> dict[str, Any]:
  """Returns an answer as plain values for JSON."""
  return msgspec.to_builtins(given)
