"""Figures of a retriever on the users of a period."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import evaluation_cases, histories, schema
from pinrec_jax.decode import budget as budget_lib
from pinrec_jax.decode import conditions
from pinrec_jax.evals import metrics, retrieve
from pinrec_jax.index import exact, sharded
from pinrec_jax.inference import engine
from pinrec_jax.types import Number

UNORDERED_K = 10  # Neighbours of each vector in unordered recall.
DISTINCT_K = 100  # Distinct items per user, and neighbours searched per vector.
INDEX_K = 100  # Neighbours for which the index is compared with exact search.

Figures = dict[str, Number]
Groups = Mapping[str, Bool[np.ndarray, "v"]]  # Groups of items by name.


def of_lists(
  lists: Int[np.ndarray, "b c"],
  cases: Sequence[evaluation_cases.Case],
  outcomes: Sequence[str],
  cutoffs: Sequence[int],
  groups: Groups,
) -> Figures:
  """Returns recall and NDCG at every cutoff, overall and by outcome.

  Recall is the fraction of all targets that are in their user's list, with 95 %
  bounds as NAME:low and NAME:high. NAME:hits is the number of targets that were
  found. NDCG is a mean over users.

  Args:
    lists: rows of the item table; -1 where a list is shorter.
    cases: the users.
    outcomes: names of the outcomes.
    cutoffs: lengths of lists.
    groups: groups of items; recall is reported for each of them, too.
  """
  figures: Figures = {}
  targets = metrics.targets(cases)
  subsets = {"": np.ones(len(targets.item), bool)}
  for n, name in enumerate(outcomes):
    subsets[f"/{name}"] = targets.actions[:, n]
  for name, group in groups.items():
    subsets[f"/{name}_items"] = group[targets.item]
  for k in cutoffs:
    hits = metrics.found(lists, targets, k)
    bounds = metrics.recall_bounds(hits, targets, [*subsets.values()])
    for (name, subset), (low, high) in zip(
      subsets.items(), bounds.T.tolist(), strict=True
    ):
      key = f"recall@{k}{name}"
      figures[key] = metrics.recall(hits, subset)
      figures |= {f"{key}:low": low, f"{key}:high": high}
      figures[f"{key}:hits"] = int((hits & subset).sum())
    for name, outcome in {"": None, **dict(_numbered(outcomes))}.items():
      figures[f"ndcg@{k}{name}"] = metrics.ndcg(lists, targets, k, outcome)
  return figures


def _numbered(outcomes: Sequence[str]) -> list[tuple[str, int]]:
  """Returns the suffix and the index of every outcome."""
  return [(f"/{name}", n) for n, name in enumerate(outcomes)]


def evaluate(
  retriever: engine.Retriever,
  cases: Sequence[evaluation_cases.Case],
  config: config_lib.Evals,
  *,
  groups: Groups,
  quiet: bool = False,
) -> Figures:
  """Returns the figures of a retriever with its default budget."""
  lists = retrieve.retrieve(
    retriever,
    cases,
    retriever.reader.defaults().ask,
    size=max(config.cutoffs),
    batch_size=config.batch_size,
    nearest=DISTINCT_K,
    quiet=quiet,
  )
  figures = of_lists(
    lists.items, cases, retriever.outcomes, config.cutoffs, groups
  )
  figures |= _of_neighbours(lists, cases, retriever.outcomes)
  top = lists.items[:, : config.cutoffs[0]]
  candidates = len(retriever.bundle.candidates)
  return figures | {
    "vectors_kept": lists.kept,
    "recency": lists.recency,
    "diversity": metrics.diversity(lists.items),
    "coverage": metrics.coverage(top, candidates),
  }


def unordered(
  retriever: engine.Retriever,
  cases: Sequence[evaluation_cases.Case],
  *,
  vectors: int,
  batch_size: int,
) -> Figures:
  """Returns what an unconditioned model's vectors find, for a number of them.

  The model generates one vector per step, so it takes one step per vector.
  """
  ask = retriever.reader.defaults().ask
  lists = retrieve.retrieve(
    retriever,
    cases,
    ask._replace(steps=vectors),
    size=1,
    batch_size=batch_size,
    nearest=DISTINCT_K,
    quiet=True,
  )
  return _of_neighbours(lists, cases, retriever.outcomes)


def _of_neighbours(
  lists: retrieve.Lists,
  cases: Sequence[evaluation_cases.Case],
  outcomes: Sequence[str],
) -> Figures:
  """Returns the recall of all vectors, overall and by outcome.

  It is given at an equal number of neighbours per vector and at an equal number
  of distinct items per user. The diversity is that of the former.
  """
  targets = metrics.targets(cases)
  nearest = lists.neighbours[..., :UNORDERED_K]
  distinct = metrics.first_distinct(lists.neighbours, DISTINCT_K)
  figures: Figures = {}
  for name, hits in (
    (f"unordered_recall@{UNORDERED_K}", metrics.unordered(nearest, targets)),
    (
      f"distinct_recall@{DISTINCT_K}",
      metrics.found(distinct, targets, DISTINCT_K),
    ),
  ):
    figures[name] = metrics.recall(hits)
    for suffix, n in _numbered(outcomes):
      figures[f"{name}{suffix}"] = metrics.recall(hits, targets.actions[:, n])
  return figures | {
    f"retrieved_diversity@{UNORDERED_K}": metrics.retrieved_diversity(nearest),
    "vectors": lists.vectors,
  }


def oracle_time(
  retriever: engine.Retriever,
  cases: Sequence[evaluation_cases.Case],
  config: config_lib.Evals,
  *,
  groups: Groups,
) -> Figures:
  """Returns figures of lists that know the time of their first target.

  No real request has this time. Use these figures only to compare with models
  that are given the time, too (arXiv 2402.17152, as run by others). A list
  comes from one vector, with the offset of the target. If a time is unknown,
  the offset is the next event.
  """
  model = retriever.bundle.model
  first = np.array([case.targets.time[0] for case in cases])
  last = np.array(
    [_last_time(case, retriever.reader.config.history_events) for case in cases]
  )
  offsets = (conditions.NEXT_EVENT, 0, *model.edges)  # by bucket
  bucket = np.asarray(model.bucket(histories.gaps(first, last)))
  plain = retriever.reader.defaults().ask._replace(
    budget=budget_lib.unspecified(retriever.bundle.vocabulary), steps=1
  )
  lists = retrieve.retrieve(
    retriever,
    cases,
    [plain._replace(offsets=(offsets[place],)) for place in bucket.tolist()],
    size=max(config.cutoffs),
    batch_size=config.batch_size,
    quiet=True,
  )
  return of_lists(
    lists.items, cases, retriever.outcomes, config.cutoffs, groups
  )


def _last_time(case: evaluation_cases.Case, history_events: str) -> int:
  """Returns the time of the last event that the model reads."""
  time = histories.visible(case.past, history_events).time
  return int(time[-1]) if time.size else schema.UNKNOWN_TIME


def index_recall(
  retriever: engine.Retriever, cases: Sequence[evaluation_cases.Case]
) -> float:
  """Returns recall@100 of the retriever's index against exact search."""
  defaults = retriever.reader.defaults()
  vectors = retriever.generate(
    [
      retriever.reader.from_events(
        case.user, case.past, ask=defaults.ask, candidates=1
      )
      for case in cases
    ]
  )
  query = np.asarray(vectors.query)[vectors.budget > 0]
  bundle = retriever.bundle
  k = min(INDEX_K, len(bundle.candidates))
  row, _ = bundle.index.search(query, k)
  if isinstance(bundle.index, sharded.Sharded):  # One device may be too small.
    truth, _ = bundle.index.search(query, k, recall=1.0)
  else:
    truth, _ = exact.Exact(bundle.vectors[bundle.candidates]).search(query, k)
  return float(metrics.overlap(row, truth).mean())
