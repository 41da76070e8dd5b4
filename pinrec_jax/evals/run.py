"""Evaluates a retriever on users at a cut."""

import itertools
from collections.abc import Mapping, Sequence

import jax
import numpy as np
import tqdm
from jaxtyping import Bool, Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import histories, schema, splits
from pinrec_jax.evals import metrics, retrieval
from pinrec_jax.index import exact
from pinrec_jax.serve import retriever as retriever_lib
from pinrec_jax.types import Number

UNORDERED_K = 10  # neighbours a vector may claim
SCANN_K = 100


def of_popularity(
  dataset: dataset_lib.Dataset,
  cases: Sequence[splits.Case],
  config: config_lib.Config,
  *,
  items: Mapping[str, Bool[np.ndarray, "v"]],
) -> dict[str, Number]:
  """Returns the report of popularity on the test users, as `of_lists`."""
  cutoffs, drop_seen = config.evals.cutoffs, config.index.drop_seen
  lists = retrieval.popularity(
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
    items: groups of them of which recall is told apart; of those "withheld" it
      is also told what lists of nothing else find.
    prefix: of the figures' names.
    quiet: shows no progress.
  """
  config, vocabulary = retriever.config.evals, retriever.vocabulary
  lists = retrieval.retrieve(
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
  report |= _of_neighbours(lists, cases, vocabulary, prefix)
  report[f"{prefix}vectors_kept"] = lists.kept
  report[f"{prefix}recency"] = lists.recency
  if "withheld" in items:
    report |= _alone(retriever, cases, items["withheld"], prefix)
  top = lists.items[:, : config.cutoffs[0]]
  report[f"{prefix}diversity"] = metrics.diversity(lists.items)
  report[f"{prefix}coverage"] = metrics.coverage(top, len(retriever.catalogue))
  return report


def _alone(
  retriever: retriever_lib.Retriever,
  cases: Sequence[splits.Case],
  withheld: Bool[np.ndarray, "v"],
  prefix: str,
) -> dict[str, Number]:
  """Returns what an index of the withheld items alone finds of the targets."""
  some, cutoffs = retriever.among(withheld), retriever.config.evals.cutoffs
  report: dict[str, Number] = {
    f"{prefix}withheld_candidates": len(some.catalogue)
  }
  concerned = [case for case in cases if withheld[case.targets.item].any()]
  if not concerned:
    return report | {f"{prefix}recall@{k}/alone": np.nan for k in cutoffs}
  lists = retrieval.retrieve(
    some, concerned, size=max(cutoffs), budget=some.budget(), quiet=True
  )
  targets = metrics.targets(concerned)
  for k in cutoffs:
    hits = metrics.found(lists.items, targets, k)
    found = metrics.recall(hits, targets, items=withheld)
    report[f"{prefix}recall@{k}/alone"] = found
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
  lists = retrieval.retrieve(
    retriever.with_decode(steps=vectors),
    cases,
    size=1,
    budget=retriever.budget(),
    nearest=UNORDERED_K,
    quiet=True,
  )
  return _of_neighbours(lists, cases, retriever.vocabulary, prefix)


def _of_neighbours(
  lists: retrieval.Lists,
  cases: Sequence[splits.Case],
  vocabulary: schema.Vocabulary,
  prefix: str,
) -> dict[str, Number]:
  """Returns what any of so many vectors found, overall and per outcome."""
  targets = metrics.targets(cases)
  hits = metrics.unordered(lists.neighbours, targets)
  name = f"{prefix}unordered_recall@{UNORDERED_K}"
  report: dict[str, Number] = {name: metrics.recall(hits, targets)}
  for n, outcome in enumerate(vocabulary.outcome_names):
    report[f"{name}/{outcome}"] = metrics.recall(hits, targets, n)
  report[f"{prefix}vectors"] = lists.vectors
  return report


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
  lists = retrieval.retrieve(
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
  tokens = retrieval.rows(retriever, some, retriever.longest)
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
    lists = retrieval.retrieve(
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
