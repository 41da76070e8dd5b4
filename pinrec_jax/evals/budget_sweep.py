"""A budget that moves from one outcome to the next, and what users act on."""

import itertools
from collections.abc import Sequence

import numpy as np
import tqdm
from jaxtyping import Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import evaluation_cases, schema
from pinrec_jax.evals import bootstrap, evaluate, metrics, retrieve
from pinrec_jax.inference import engine

POINTS = 5  # Budgets from one outcome to the next, both included.


def sweep(
  retriever: engine.Retriever,
  cases: Sequence[evaluation_cases.Case],
  config: config_lib.Evals,
  *,
  points: int = POINTS,
) -> list[evaluate.Figures]:
  """Moves the budget from one outcome to the next along `evals.sweep`.

  Returns:
    One row per budget. budget/NAME is the share of an outcome. hits/NAME is the
    number of candidates on which their user acted in this way in the test log.
    rate/NAME is their fraction of all candidates. Its 95 % bounds are
    rate/NAME:low and rate/NAME:high. recall is of the longest list, with its
    bounds and its hits.
  """
  targets, rows = metrics.targets(cases), []
  names = config.sweep
  for budget in tqdm.tqdm(_budgets(names, points), desc="budget sweep"):
    ask = retriever.reader.defaults(budget=budget).ask
    lists = retrieve.retrieve(
      retriever,
      cases,
      ask,
      size=max(config.cutoffs),
      batch_size=config.batch_size,
      quiet=True,
    )
    row: evaluate.Figures = {
      f"budget/{name}": budget.get(name, 0.0) for name in names
    }
    row |= _rates(lists.items, targets, retriever.bundle.vocabulary, names)
    hits = metrics.found(lists.items, targets, max(config.cutoffs))
    every = np.ones(len(hits), bool)
    bounds = metrics.recall_bounds(hits, targets, [every])[:, 0].tolist()
    row |= {"recall": metrics.recall(hits), "recall:hits": int(hits.sum())}
    row |= {"recall:low": bounds[0], "recall:high": bounds[1]}
    rows.append(row)
  return rows


def _rates(
  lists: Int[np.ndarray, "b c"],
  targets: metrics.Targets,
  vocabulary: schema.Vocabulary,
  names: Sequence[str],
) -> evaluate.Figures:
  """Returns how often users acted on candidates in each way."""
  outcomes = [vocabulary.outcome(name) for name in names]
  hits = np.stack([metrics.acted_on(lists, targets, o) for o in outcomes], 1)
  total = np.repeat((lists >= 0).sum(-1)[:, None], len(names), 1)
  bounds = bootstrap.intervals(hits, total)
  figures: evaluate.Figures = {}
  for n, name in enumerate(names):
    figures[f"hits/{name}"] = int(hits[:, n].sum())
    rate = hits[:, n].sum() / max(total[:, n].sum(), 1)
    figures[f"rate/{name}"] = float(rate)
    figures[f"rate/{name}:low"] = float(bounds[0, n])
    figures[f"rate/{name}:high"] = float(bounds[1, n])
  return figures


def _budgets(names: Sequence[str], points: int) -> list[dict[str, float]]:
  """Returns the budgets of a sweep."""
  budgets: list[dict[str, float]] = []
  for here, there in itertools.pairwise(names):
    for share in np.linspace(0, 1, points)[bool(budgets) :]:
      pair = {here: 1 - float(share), there: float(share)}
      budgets.append({name: share for name, share in pair.items() if share})
  return budgets
