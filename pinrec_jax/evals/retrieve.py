"""Lists for all users of a period, over one process or several."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
import tqdm
from jaxtyping import Float, Int

from pinrec_jax import sharding
from pinrec_jax.data import evaluation_cases
from pinrec_jax.decode import conditions
from pinrec_jax.evals import metrics
from pinrec_jax.inference import candidates, engine, requests

MIN_BATCHES = 4  # Batches of a shorter shape that are worth its compilation.


@dataclasses.dataclass(frozen=True)
class Lists:
  """The lists of a set of users.

  Attributes:
    items: rows of the item table; -1 where a list is shorter.
    outcome: outcome of the vector that found each item; -1 is unspecified.
    neighbours: nearest items of every vector that has a budget; [b q 0] if
      `nearest` is 0.
    vectors: vectors of each user, before near-duplicates are merged.
    kept: mean number of vectors after that.
    recency: place in the history of the events nearest to the user's vectors,
      from 0 (oldest) to 1, a mean over the vectors; NaN for a user with fewer
      than two events, and if `nearest` is 0.
  """

  items: Int[np.ndarray, "b c"]
  outcome: Int[np.ndarray, "b c"]
  neighbours: Int[np.ndarray, "b q k"]
  vectors: int
  kept: float
  recency: Float[np.ndarray, "b"]


class _Found(NamedTuple):
  """The lists of one batch of users, as in `Lists`."""

  items: Int[np.ndarray, "b c"]
  outcome: Int[np.ndarray, "b c"]
  neighbours: Int[np.ndarray, "b q k"]
  kept: Int[np.ndarray, "b"]
  recency: Float[np.ndarray, "b"]


def retrieve(
  retriever: engine.Retriever,
  cases: Sequence[evaluation_cases.Case],
  asks: conditions.Ask | Sequence[conditions.Ask],
  *,
  size: int,
  batch_size: int,
  nearest: int = 0,
  quiet: bool = False,
) -> Lists:
  """Returns a list for each user, from the user's events before the cut.

  Items that a user has seen are left out as the configuration says. With
  several processes, each retrieves for a part of the users, and all return all.

  Args:
    retriever: the model and its index.
    cases: the users.
    asks: conditions of each user, or of all users. The number of vectors must
      be the same for all.
    size: length of a list.
    batch_size: users in a batch.
    nearest: neighbours of every vector to return, with the vectors' recency; 0
      returns neither.
    quiet: shows no progress.
  """
  if isinstance(asks, conditions.Ask):
    asks = [asks] * len(cases)
  given = [
    retriever.reader.from_events(case.user, case.past, ask=ask, candidates=size)
    for case, ask in zip(cases, asks, strict=True)
  ]
  batches, lengths = _batches(retriever, given, batch_size)
  found = []
  for number in tqdm.tqdm(
    _own_batches(len(batches)), desc="retrieving", disable=quiet
  ):
    batch = [given[user] for user in batches[number]]
    found.append(_of_batch(retriever, batch, int(lengths[number]), nearest))
  whole = _of_all(found, batches.reshape(-1)[: len(cases)])
  ask = asks[0]
  return Lists(
    items=whole.items,
    outcome=whole.outcome,
    neighbours=whole.neighbours,
    vectors=sum(map(bool, ask.budget)) * len(ask.offsets) * ask.steps,
    kept=float(whole.kept.mean()),
    recency=whole.recency,
  )


def _of_batch(
  retriever: engine.Retriever,
  batch: Sequence[requests.Request],
  length: int,
  nearest: int,
) -> _Found:
  """Retrieves for one batch, in rows of `length` tokens."""
  vectors = retriever.generate(batch, length=length)
  lists = retriever.candidates(vectors, batch)
  neighbours = np.zeros((len(batch), 0, 0), np.int32)
  recency = np.full(len(batch), np.nan)
  if nearest:
    wanted = int((vectors.budget[0] > 0).sum())
    asked = jax.tree.map(lambda column: column[:, :wanted], vectors)
    # Every vector with a budget, merged or not.
    unmerged = asked._replace(share=asked.budget)
    items = retriever.items
    place = candidates.neighbours(items, unmerged, nearest).place
    neighbours = candidates.rows_of(items, place)
    recency = metrics.recency(
      np.asarray(asked.query),
      candidates.history_places(items, batch, length),
      items.vectors(items.place_rows),
    )
  return _Found(
    lists.item,
    lists.outcome,
    neighbours,
    (vectors.share > 0).sum(-1),
    recency,
  )


def _batches(
  retriever: engine.Retriever,
  given: Sequence[requests.Request],
  batch_size: int,
) -> tuple[Int[np.ndarray, "n b"], Int[np.ndarray, "n"]]:
  """Returns batches of users, shortest histories first, and row lengths.

  Rows are a half or a quarter as long if enough batches fit. The last batch is
  filled with its last user.
  """
  longest = retriever.reader.max_tokens(given[0].ask.steps)
  tokens = np.array([1 + len(request.events) for request in given])
  order = np.argsort(tokens, kind="stable")
  filled = np.pad(order, (0, -len(order) % batch_size), "edge")
  users = filled.reshape(-1, batch_size)
  most = tokens[users].max(-1)
  length = np.full(len(users), longest)
  half = -(-longest // 2)
  while half < length[0] and np.count_nonzero(most <= half) >= MIN_BATCHES:
    length[most <= half] = half
    half = -(-half // 2)
  return users, length


def _own_batches(total: int) -> list[int]:
  """Returns the numbers of this process's batches.

  Every process gets the same number of batches, so some come twice.
  """
  processes = jax.process_count()
  turns = range(-(-total // processes))
  return [(turn * processes + jax.process_index()) % total for turn in turns]


def _of_all(found: Sequence[_Found], users: Int[np.ndarray, "b"]) -> _Found:
  """Returns the lists of all processes, sorted by user.

  Args:
    found: the lists of this process, batch by batch.
    users: numbers of all users, in the order of the batches.
  """
  size, turns = len(found[0].items), len(found)
  whole = sharding.on_host(
    jax.tree.map(lambda *parts: np.concatenate(parts), *found)
  )
  batch, place = np.divmod(np.argsort(users), size)
  turn, process = np.divmod(batch, jax.process_count())
  row = (process * turns + turn) * size + place
  return jax.tree.map(lambda column: column[row], whole)
