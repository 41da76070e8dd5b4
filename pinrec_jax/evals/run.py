"""Evaluates a retriever on users at a cut."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
import tqdm
from jaxtyping import Bool, Float, Int

from pinrec_jax import config as config_lib
from pinrec_jax import sharding
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import histories, schema, splits
from pinrec_jax.evals import metrics
from pinrec_jax.index import exact
from pinrec_jax.serve import retriever as retriever_lib
from pinrec_jax.types import Number

UNORDERED_K = 10  # neighbours a vector may claim
WORTH_A_SHAPE = 4  # batches, which take longer than to compile for them
SCANN_K = 100


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


def _tokens(
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
    tokens = _tokens(retriever, own, int(lengths[number]))
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
  rows = (process * turns + turn) * size + place
  return jax.tree.map(lambda column: column[rows], whole)


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


def of_popularity(
  dataset: dataset_lib.Dataset,
  cases: Sequence[splits.Case],
  config: config_lib.Config,
  *,
  items: Mapping[str, Bool[np.ndarray, "v"]],
) -> dict[str, Number]:
  """Returns the report of popularity on the test users, as `of_lists`."""
  cutoffs, drop_seen = config.evals.cutoffs, config.index.drop_seen
  lists = popularity(
    dataset, cases, split="test", size=max(cutoffs), drop_seen=drop_seen
  )
  return of_lists(
    lists, cases, dataset.vocabulary, cutoffs, "popularity_", items=items
  )


def of_lists(
  lists: Int[np.ndarray, "b c"],
  cases: Sequence[splits.Case],
  vocabulary: schema.Vocabulary,
  cutoffs: Sequence[int],
  prefix: str = "",
  *,
  items: Mapping[str, Bool[np.ndarray, "v"]],
) -> dict[str, Number]:
  """Returns recall and NDCG at every cutoff, overall and per outcome.

  Recall is also told of targets among some items, such as those of
  `splits.known_by`.
  """
  report, targets = {}, metrics.targets(cases)
  for k in cutoffs:
    hits = metrics.found(lists, targets, k)
    report[f"{prefix}recall@{k}"] = metrics.recall(hits, targets)
    report[f"{prefix}ndcg@{k}"] = metrics.ndcg(lists, targets, k)
    for n, name in enumerate(vocabulary.outcome_names):
      report[f"{prefix}recall@{k}/{name}"] = metrics.recall(hits, targets, n)
      report[f"{prefix}ndcg@{k}/{name}"] = metrics.ndcg(lists, targets, k, n)
    for name, some in items.items():
      found = metrics.recall(hits, targets, items=some)
      report[f"{prefix}recall@{k}/{name}_items"] = found
  return report


def evaluate(
  retriever: retriever_lib.Retriever,
  cases: Sequence[splits.Case],
  *,
  items: Mapping[str, Bool[np.ndarray, "v"]],
  prefix: str = "",
  quiet: bool = False,
) -> dict[str, Number]:
  """Returns the flat report of one retriever under its default budget.

  Args:
    retriever: what is measured.
    cases: the users.
    items: groups of them of which recall is told apart.
    prefix: of the figures' names.
    quiet: shows no progress.
  """
  config, vocabulary = retriever.config.evals, retriever.vocabulary
  lists = retrieve(
    retriever,
    cases,
    size=max(config.cutoffs),
    budget=retriever.budget(),
    nearest=UNORDERED_K,
    quiet=quiet,
  )
  report = of_lists(
    lists.items, cases, vocabulary, config.cutoffs, prefix, items=items
  )
  targets = metrics.targets(cases)
  hits = metrics.unordered(lists.neighbours, targets)
  name = f"{prefix}unordered_recall@{UNORDERED_K}"
  report[name] = metrics.recall(hits, targets)
  for n, outcome in enumerate(vocabulary.outcome_names):
    report[f"{name}/{outcome}"] = metrics.recall(hits, targets, n)
  report[f"{prefix}vectors"] = lists.vectors
  report[f"{prefix}vectors_kept"] = lists.kept
  report[f"{prefix}recency"] = lists.recency
  top = lists.items[:, : config.cutoffs[0]]
  report[f"{prefix}diversity"] = metrics.diversity(lists.items)
  report[f"{prefix}coverage"] = metrics.coverage(top, len(retriever.catalogue))
  return report


def unordered(
  retriever: retriever_lib.Retriever,
  cases: Sequence[splits.Case],
  *,
  vectors: int,
  prefix: str,
) -> dict[str, Number]:
  """Returns an unconditioned model's unordered recall at so many vectors.

  It has one vector a step, so it takes as many steps.
  """
  lists = retrieve(
    retriever.with_decode(steps=vectors),
    cases,
    size=1,
    budget=retriever.budget(),
    nearest=UNORDERED_K,
    quiet=True,
  )
  targets = metrics.targets(cases)
  hits = metrics.unordered(lists.neighbours, targets)
  return {
    f"{prefix}unordered_recall@{UNORDERED_K}": metrics.recall(hits, targets),
    f"{prefix}vectors": lists.vectors,
  }


def told_time(
  retriever: retriever_lib.Retriever,
  cases: Sequence[splits.Case],
  *,
  items: Mapping[str, Bool[np.ndarray, "v"]],
  prefix: str,
) -> dict[str, Number]:
  """Returns the figures of lists that know when their first target comes.

  No real request knows; models that are given their target's time (arXiv
  2402.17152, as run by others) are to be compared with this alone. A user's
  list is that of the vector for the time ahead at which the target lies, or
  for none where the log does not tell it.
  """
  config, model = retriever.config, retriever.model
  first = np.array([case.targets.time[0] for case in cases])
  last = np.array([_last_time(case, config.data.inputs) for case in cases])
  lists = retrieve(
    retriever.with_decode(offsets=(-1, 0, *model.edges), steps=1),
    cases,
    size=max(config.evals.cutoffs),
    budget={},
    only=np.asarray(model.bucket(histories.gaps(first, last))),
    quiet=True,
  )
  return of_lists(
    lists.items, cases, retriever.vocabulary, config.evals.cutoffs, prefix,
    items=items,
  )  # fmt: skip


def _last_time(case: splits.Case, inputs: str) -> int:
  """Returns the time of the last event that the model may read."""
  time = histories.visible(case.past, inputs).time
  return int(time[-1]) if time.size else schema.UNKNOWN_TIME


def index_recall(
  retriever: retriever_lib.Retriever, cases: Sequence[splits.Case]
) -> float:
  """Returns recall@100 of the retriever's index against the exact one."""
  some = cases[: retriever.config.evals.batch]
  tokens = _tokens(retriever, some, retriever.longest)
  vectors = retriever.vectors(
    tokens,
    retriever.known[tokens.item],
    retriever.budget(),
    jax.random.key(0),
  )
  query = vectors.query.reshape(-1, vectors.query.shape[-1])
  k = min(SCANN_K, len(retriever.catalogue))
  truth, _ = exact.Exact(retriever.embedded).search(query, k)
  row, _ = retriever.index.search(query, k)
  return float(metrics.overlap(row, truth).mean())


def sweep(
  retriever: retriever_lib.Retriever,
  cases: Sequence[splits.Case],
  *,
  points: int = 5,
) -> list[dict[str, Number]]:
  """Turns the budget from one outcome to the next along `evals.sweep`.

  Returns:
    one row a point: the budget of each outcome as budget/NAME, and as
    rate/NAME the share of all candidates the log shows with that action.
  """
  config, vocabulary = retriever.config.evals, retriever.vocabulary
  names = config.sweep
  budgets = []
  for here, there in itertools.pairwise(names):
    for share in np.linspace(0, 1, points)[bool(budgets) :]:
      budgets.append({here: 1 - float(share), there: float(share)})
  rows, targets = [], metrics.targets(cases)
  for budget in tqdm.tqdm(budgets, desc="turning the budget"):
    lists = retrieve(
      retriever,
      cases,
      size=max(config.cutoffs),
      budget={name: share for name, share in budget.items() if share},
      quiet=True,
    )
    row = {f"budget/{name}": budget.get(name, 0.0) for name in names}
    for name in names:
      row[f"rate/{name}"] = metrics.action_rate(
        lists.items, targets, vocabulary.outcome(name)
      )
    hits = metrics.found(lists.items, targets, max(config.cutoffs))
    row["recall"] = metrics.recall(hits, targets)
    rows.append(row)
  return rows
