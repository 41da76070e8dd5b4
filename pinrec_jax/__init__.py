"""Outcome-conditioned, multi-token generative retrieval in JAX (PinRec).

A causal transformer reads a user's history and generates unit-norm item
embeddings, one per wanted outcome and step; a budget splits the candidates
over the outcomes and an index finds the items (arXiv 2504.10507).

The package is built in floors; an import points only downwards:

  9 main · 8 api · 7 modes, claims · 6 training · 5 evals · 4 serve, doctor ·
  3 losses, decode, index · 2 model · 1 data ·
  0 config, rules, sharding, grouped, compiled, this file

Notation, the paper's symbol on the left:

  H(u, t)    history       a user's events, oldest first
  i, a, s, t item, actions, surface, time of an event (time in unix seconds)
  h_{u,t}    state         what the backbone says at a history position
  c_1..c_k   condition     outcome, surface, type and so on it should have
  e_delta    offset        a learned vector for a bucket of time ahead
  O(h, c)    head          state and condition to a query
  i^         query         a predicted unit vector in the item space
  lambda     1 / temperature
  Q(i)       log_expected  log of how often an item is among the negatives
  B          budget        share of the candidates for each outcome

Axis letters in every shape annotation:

  b batch · l history position · s cache slot, or items seen · d width of the
  item space · w width of the backbone · h heads · k head width, or neighbours ·
  f features in · g slots of categorical features · n items scored (positives
  and negatives) · m time offsets · o outcomes · t decode steps · q queries of
  one request · v rows of a table · c candidates · a actions · x hash tables ·
  p periods
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the type checker's view of what __getattr__ fetches
  from pinrec_jax.api import (
    Config,
    Retriever,
    build_index,
    evaluate,
    prepare,
    read_config,
    train,
  )

__version__ = "0.1.0"
__all__ = [
  "Config",
  "Retriever",
  "build_index",
  "evaluate",
  "prepare",
  "read_config",
  "train",
]


def __getattr__(name: str) -> Any:
  """Fetches the public interface when it is first used: JAX is slow to load."""
  if name not in __all__:
    raise AttributeError(f"module 'pinrec_jax' has no attribute {name!r}")
  from pinrec_jax import api

  return getattr(api, name)
