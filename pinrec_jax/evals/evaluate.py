"""Figures of a retriever on the users of a period."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import evaluation_cases, histories, schema
from pinrec_jax.decode import budget as budget_lib
from pinrec_jax.decode import conditions
from pinrec_jax.evals import bootstrap, metrics, retrieve
from pinrec_jax.index import exact, sharded
from pinrec_jax.inference import engine
from pinrec_jax.types import Number, UserSums

UNORDERED_K = 10  # Neighbours of each vector in unordered recall.
DISTINCT_K = 100  # Distinct items per user, and neighbours searched per vector.
INDEX_K = 100  # Neighbours for which the index is compared with exact search.

Figures = dict[str, Number]
Sums = dict[str, UserSums]
Groups = Mapping[str, Bool[np.ndarray, "v"]]  # Groups of items by name.


class Measured(NamedTuple):
  """Figures of a retriever, and what each user adds to them.

  Attributes:
    figures: by name.
    sums: of the figures that are ratios of two sums over users, such as recall;
      the others are properties of all lists together.
  """

  figures: Figures
  sums: Sums


def of_lists(
  lists: Int[np.ndarray, "b c"],
  cases: Sequence[evaluation_cases.Case],
  outcomes: Sequence[str],
  cutoffs: Sequence[int],
  groups: Groups,
) -> Measured:
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
  sums: Sums = {}
  targets = metrics.targets(cases)
  subsets = _subsets(targets, outcomes)
  for name, group in groups.items():
    subsets[f"/{name}_items"] = group[targets.item]
  for k in cutoffs:
    hits = metrics.found(lists, targets, k)
    sums |= _recalls(f"recall@{k}", hits, targets, subsets, len(cases))
    for name, outcome in {"": None, **dict(_numbered(outcomes))}.items():
      values = metrics.ndcg(lists, targets, k, outcome)
      sums[f"ndcg@{k}{name}"] = UserSums.of_mean(values)
  return Measured(_figures(sums), sums)


def _subsets(
  targets: metrics.Targets, outcomes: Sequence[str]
) -> dict[str, Bool[np.ndarray, "t"]]:
  """Returns which targets count, overall and by outcome, by suffix."""
  return {
    "": np.ones(len(targets.item), bool),
    **{name: targets.actions[:, n] for name, n in _numbered(outcomes)},
  }


def _recalls(
  name: str,
  hits: Bool[np.ndarray, "t"],
  targets: metrics.Targets,
  subsets: Mapping[str, Bool[np.ndarray, "t"]],
  users: int,
) -> Sums:
  return {
    f"{name}{suffix}": metrics.recall_sums(hits, targets, subset, users)
    for suffix, subset in subsets.items()
  }


def _figures(sums: Sums) -> Figures:
  """Returns the figures of sums, and the bounds and hits of every recall@k."""
  recalls = [name for name in sums if name.startswith("recall@")]
  found, total = (
    np.stack([sums[name][column] for name in recalls], 1) for column in (0, 1)
  )
  bounds = bootstrap.intervals(found, total).T.tolist()
  figures: Figures = {name: own.ratio() for name, own in sums.items()}
  for name, (low, high) in zip(recalls, bounds, strict=True):
    figures |= {f"{name}:low": low, f"{name}:high": high}
    figures[f"{name}:hits"] = int(sums[name].found.sum())
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
) -> Measured:
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
  outcomes = retriever.outcomes
  ranked = of_lists(lists.items, cases, outcomes, config.cutoffs, groups)
  nearest = _of_neighbours(lists, cases, outcomes)
  recency = {"recency": UserSums.of_mean(lists.recency)}
  top = lists.items[:, : config.cutoffs[0]]
  candidates = len(retriever.bundle.candidates)
  figures = ranked.figures | {
    **{name: own.ratio() for name, own in (nearest | recency).items()},
    "vectors": lists.vectors,
    "vectors_kept": lists.kept,
    "diversity": metrics.diversity(lists.items),
    "coverage": metrics.coverage(top, candidates),
  }
  return Measured(figures, ranked.sums | nearest | recency)


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
  sums = _of_neighbours(lists, cases, retriever.outcomes)
  figures: Figures = {name: own.ratio() for name, own in sums.items()}
  return figures | {"vectors": lists.vectors}


def _of_neighbours(
  lists: retrieve.Lists,
  cases: Sequence[evaluation_cases.Case],
  outcomes: Sequence[str],
) -> Sums:
  """Returns the recall of all vectors, overall and by outcome.

  It is given at an equal number of neighbours per vector and at an equal number
  of distinct items per user. The diversity is that of the former.
  """
  targets, users = metrics.targets(cases), len(cases)
  subsets = _subsets(targets, outcomes)
  nearest = lists.neighbours[..., :UNORDERED_K]
  distinct = metrics.first_distinct(lists.neighbours, DISTINCT_K)
  sums: Sums = {}
  for name, hits in (
    (f"unordered_recall@{UNORDERED_K}", metrics.unordered(nearest, targets)),
    (
      f"distinct_recall@{DISTINCT_K}",
      metrics.found(distinct, targets, DISTINCT_K),
    ),
  ):
    sums |= _recalls(name, hits, targets, subsets, users)
  diversity = UserSums.of_mean(metrics.retrieved_diversity(nearest))
  return sums | {f"retrieved_diversity@{UNORDERED_K}": diversity}


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
  ).figures


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
