"""Retrieves for many users at a cut, by a model or by popularity."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
import tqdm
from jaxtyping import Float, Int

from pinrec_jax import sharding
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import histories, splits
from pinrec_jax.evals import metrics
from pinrec_jax.serve import retriever as retriever_lib

WORTH_A_SHAPE = 4  # batches, which take longer than to compile for them


@dataclasses.dataclass(frozen=True)
class Lists:
  """What was retrieved for a set of users."""

  items: Int[np.ndarray, "b c"]
  outcome: Int[np.ndarray, "b c"]
  neighbours: Int[np.ndarray, "b q k"]  # of every vector, if asked for
  vectors: int  # generated a user, before merging
  kept: float  # vectors a user after merging, on average
  recency: float  # of the events nearest to the vectors, if asked for


class _Found(NamedTuple):
  """What was retrieved for a batch of users."""

  items: Int[np.ndarray, "b c"]
  outcome: Int[np.ndarray, "b c"]
  neighbours: Int[np.ndarray, "b q k"]
  kept: Int[np.ndarray, "b"]
  recency: Float[np.ndarray, "b"]


def _batches(
  retriever: retriever_lib.Retriever, cases: Sequence[splits.Case]
) -> tuple[Int[np.ndarray, "n b"], Int[np.ndarray, "n"]]:
  """Returns batches of users, fewest events first, and their rows' lengths.

  Rows are half as long, and half of that, where enough batches fit to be worth
  a shape of their own. The last batch is filled with its last user.
  """
  config, longest = retriever.config, retriever.longest
  events = [
    np.count_nonzero(histories.readable(case.past, config.data.inputs))
    for case in cases
  ]
  needed = 1 + np.array(events)  # a start token
  order = np.argsort(needed, kind="stable")
  filled = np.pad(order, (0, -len(order) % config.evals.batch), "edge")
  users = filled.reshape(-1, config.evals.batch)
  most = needed[users].max(-1)
  length = np.full(len(users), longest)
  half = -(-longest // 2)
  while half < length[0] and np.count_nonzero(most <= half) >= WORTH_A_SHAPE:
    length[most <= half] = half
    half = -(-half // 2)
  return users, length


def rows(
  retriever: retriever_lib.Retriever, cases: Iterable[splits.Case], length: int
) -> histories.Tokens:
  """Returns users' latest events, in rows of one length."""
  inputs = retriever.config.data.inputs
  visible = (histories.visible(case.past, inputs) for case in cases)
  read = [histories.latest(events, length) for events in visible]
  return histories.serving(read, length)


def retrieve(
  retriever: retriever_lib.Retriever,
  cases: Sequence[splits.Case],
  *,
  size: int,
  budget: Mapping[str, float],
  nearest: int = 0,
  only: Int[np.ndarray, "b"] | None = None,
  quiet: bool = False,
) -> Lists:
  """Returns `size` candidates for each user.

  Histories are the latest events before the cut; what a user has seen is left
  out as the configuration says. Where several processes run, each retrieves for
  a share of the users, and all return all.

  Args:
    retriever: what is measured.
    cases: the users.
    size: of each list.
    budget: as `Retriever.budget` gives it.
    nearest: how many neighbours of every vector to keep beside the list, with
      where in the history the vectors look; 0 keeps neither.
    only: which of a user's vectors finds the whole list; by default each finds
      what the budget gives it.
    quiet: shows no progress.
  """
  config = retriever.config
  found, generated = [], 0
  key = jax.random.key(config.train.seed)
  batches, lengths = _batches(retriever, cases)
  for number in tqdm.tqdm(
    _own_batches(len(batches)), desc="retrieving", disable=quiet
  ):
    users, own = batches[number], [cases[user] for user in batches[number]]
    tokens = rows(retriever, own, int(lengths[number]))
    vectors = retriever.vectors(
      tokens,
      retriever.known[tokens.item],
      budget,
      key,
      users,
    )
    generated = vectors.query.shape[1]
    if only is not None:
      vectors = vectors._replace(share=np.eye(generated)[only[users]])
    seen = [case.past.seen(config.index.drop_seen) for case in own]
    lists = retriever.candidates(vectors, seen, size)
    near = np.zeros((len(users), 0, 0), np.int32)
    late = np.full(len(users), np.nan)
    if nearest:
      every = vectors._replace(share=np.ones_like(vectors.share))
      near = retriever.catalogue[retriever.search(every, nearest)[0]]
      past = retriever.place_of[tokens.item]
      late = metrics.recency(vectors.query, past, retriever.embedded)
    kept = (vectors.share > 0).sum(-1)
    found.append(_Found(lists.item, lists.outcome, near, kept, late))
  whole = _of_all(found, batches.reshape(-1)[: len(cases)])
  late = whole.recency[~np.isnan(whole.recency)]
  return Lists(
    items=whole.items,
    outcome=whole.outcome,
    neighbours=whole.neighbours,
    vectors=generated,
    kept=float(whole.kept.mean()),
    recency=float(late.mean()) if late.size else np.nan,
  )


def _own_batches(total: int) -> list[int]:
  """Returns the numbers of this process's batches; all have as many."""
  every = jax.process_count()
  turns = range(-(-total // every))
  return [(turn * every + jax.process_index()) % total for turn in turns]


def _of_all(found: Sequence[_Found], users: Int[np.ndarray, "b"]) -> _Found:
  """Returns what all processes found for users in this order, sorted."""
  size, turns = len(found[0].items), len(found)
  whole = sharding.on_host(
    jax.tree.map(lambda *parts: np.concatenate(parts), *found)
  )
  batch, place = np.divmod(np.argsort(users), size)
  turn, process = np.divmod(batch, jax.process_count())
  row = (process * turns + turn) * size + place
  return jax.tree.map(lambda column: column[row], whole)


def popularity(
  dataset: dataset_lib.Dataset,
  cases: Sequence[splits.Case],
  *,
  split: str,
  size: int,
  drop_seen: str,
) -> Int[np.ndarray, "b c"]:
  """Returns the items engaged with most before the cut, for each user.

  In a log split by time only dated engagements count; ties go to the lower
  row. What is left out of a list is as in `config.Index.drop_seen`.
  """
  counts = np.zeros(len(dataset.items.ids))
  for events in dataset.events:
    usual = splits.recent(dataset, events, split)
    np.add.at(counts, usual.item, 1)
  counts[~dataset.items.candidate] = -1
  seen = [case.past.seen(drop_seen) for case in cases]
  ranked = np.argsort(-counts, kind="stable")
  ranked = ranked[: size + max(map(len, seen), default=0)]
  return np.stack([ranked[~np.isin(ranked, own)][:size] for own in seen])
