"""A budget that moves from one outcome to the next, and what users act on."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import tqdm
from jaxtyping import Bool, Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import evaluation_cases
from pinrec_jax.evals import bootstrap, evaluate, metrics, retrieve
from pinrec_jax.inference import engine

POINTS = 11  # Budgets from one outcome to the next, in steps of 10 %.
Names: TypeAlias = Sequence[str]  # Of the outcomes of a sweep.


class Sweep(NamedTuple):
  """The figures of a budget sweep.

  Attributes:
    rows: one row of figures per budget; see `sweep`.
    steering: how well the lists follow the budget; see `sweep`.
  """

  rows: list[evaluate.Figures]
  steering: evaluate.Figures


def sweep(
  retriever: engine.Retriever,
  cases: Sequence[evaluation_cases.Case],
  config: config_lib.Evals,
  *,
  points: int = POINTS,
) -> Sweep:
  """Moves the budget from one outcome to the next along `evals.sweep`.

  Returns:
    Rows, where budget/NAME is the share of an outcome and achieved/NAME its
    share of all candidates. hits/NAME is the number of candidates on which
    their user acted in this way in the test log. rate/NAME is their fraction of
    all candidates. change/NAME is the relative change of the hits from the
    first budget. recall is of the longest list, with its hits. Rates, changes
    and recall have 95 % bounds over users, as KEY:low and KEY:high. From the
    second row on, unchanged is the fraction of users whose list is that of the
    budget before. same_items also counts lists with the same items in another
    order.

    Steering, where unchanged and same_items are the largest of all rows, and
    share_error is the largest difference between budget and achieved share.
    working_range/A/B:low and :high are shares of B; see `working_range`.
    working_range/A/B:trades is 1 if B costs some of A there.
  """
  targets, names = metrics.targets(cases), config.sweep
  budgets = _budgets(names, points)
  lists = [
    retrieve.retrieve(
      retriever,
      cases,
      retriever.reader.defaults(budget=budget).ask,
      size=max(config.cutoffs),
      batch_size=config.batch_size,
      quiet=True,
    )
    for budget in tqdm.tqdm(budgets, desc="budget sweep")
  ]
  outcomes = [retriever.bundle.vocabulary.outcome(name) for name in names]
  hits = np.stack([_hits(own.items, targets, outcomes) for own in lists])
  rows = _ratios([_counts(own.items, targets) for own in lists], hits, names)
  for row, budget, own in zip(rows, budgets, lists, strict=True):
    row |= _shares(own, dict(zip(names, outcomes, strict=True)), budget)
  for row, pair in zip(rows[1:], itertools.pairwise(lists), strict=True):
    row |= _unchanged(*pair)
  return Sweep(rows, _steering(rows, hits, names, points))


def _unchanged(
  before: retrieve.Lists, lists: retrieve.Lists
) -> evaluate.Figures:
  """Returns the fraction of users whose lists have equal items."""
  one, other = before.items, lists.items
  found = {
    "unchanged": one == other,
    "same_items": np.sort(one, -1) == np.sort(other, -1),
  }
  return {key: float(own.all(-1).mean()) for key, own in found.items()}


def _hits(
  lists: Int[np.ndarray, "b c"],
  targets: metrics.Targets,
  outcomes: Sequence[int],
) -> Int[np.ndarray, "b o"]:
  """Returns how many of each user's candidates got each outcome."""
  return np.stack([metrics.acted_on(lists, targets, o) for o in outcomes], 1)


def _shares(
  lists: retrieve.Lists,
  outcomes: Mapping[str, int],
  budget: Mapping[str, float],
) -> evaluate.Figures:
  """Returns the share that each outcome was given, and the one that it got."""
  listed = lists.outcome[lists.items >= 0]
  row: evaluate.Figures = {}
  for name, outcome in outcomes.items():
    row[f"budget/{name}"] = budget.get(name, 0.0)
    got = (listed == outcome).mean() if listed.size else np.nan
    row[f"achieved/{name}"] = float(got)
  return row


class _Counts(NamedTuple):
  """Counts of each user for the lists of one budget."""

  candidates: Int[np.ndarray, "b"]
  found: Int[np.ndarray, "b"]
  targets: Int[np.ndarray, "b"]


def _counts(lists: Int[np.ndarray, "b c"], targets: metrics.Targets) -> _Counts:
  hits = metrics.found(lists, targets, lists.shape[1])
  return _Counts(
    (lists >= 0).sum(-1),
    np.bincount(targets.user[hits], minlength=len(lists)),
    np.bincount(targets.user, minlength=len(lists)),
  )


def _ratios(
  counts: Sequence[_Counts], hits: Int[np.ndarray, "p b o"], names: Names
) -> list[evaluate.Figures]:
  """Returns the hits, rates, changes and recall of every budget."""
  columns: list[tuple[int, str, np.ndarray, np.ndarray]] = []
  rows: list[evaluate.Figures] = []
  for n, own in enumerate(counts):
    rows.append({"recall:hits": int(own.found.sum())})
    columns.append((n, "recall", own.found, own.targets))
    for o, name in enumerate(names):
      mine, first = hits[n, :, o], hits[0, :, o]
      rows[n][f"hits/{name}"] = int(mine.sum())
      columns.append((n, f"rate/{name}", mine, own.candidates))
      columns.append((n, f"change/{name}", mine - first, first))
  found, total = (
    np.stack([column[place] for column in columns], 1) for place in (2, 3)
  )
  bounds = bootstrap.intervals(found, total).T.tolist()
  for (n, key, own, every), (low, high) in zip(columns, bounds, strict=True):
    ratio = float(own.sum() / every.sum()) if every.any() else np.nan
    rows[n] |= {key: ratio, f"{key}:low": low, f"{key}:high": high}
  return rows


def _steering(
  rows: Sequence[evaluate.Figures],
  hits: Int[np.ndarray, "p b o"],
  names: Names,
  points: int,
) -> evaluate.Figures:
  """Returns how well the lists of a sweep follow the budget."""
  errors = [
    abs(row[f"budget/{name}"] - row[f"achieved/{name}"])
    for row in rows
    for name in names
  ]
  figures: evaluate.Figures = {
    "unchanged": max(row["unchanged"] for row in rows[1:]),
    "same_items": max(row["same_items"] for row in rows[1:]),
    "share_error": float(np.max(errors)),
  }
  for n, (here, there) in enumerate(itertools.pairwise(names)):
    start = n * (points - 1)
    own = hits[start : start + points, :, n : n + 2]
    low, high, trades = working_range(own)
    figures |= {
      f"working_range/{here}/{there}:{end}": rows[start + place][
        f"budget/{there}"
      ]
      for end, place in (("low", low), ("high", high))
    }
    figures[f"working_range/{here}/{there}:trades"] = int(trades)
  return figures


def working_range(hits: Int[np.ndarray, "p b 2"]) -> tuple[int, int, bool]:
  """Returns the budgets between which two outcomes are worth choosing.

  The first such budget is the last one whose hits of the first outcome are
  level with the most. Before it, more of the second outcome costs nothing. The
  last such budget is the first one whose hits of the second outcome are level
  with the most. After it, hits of the first outcome are given up for nothing.
  Level means that the 95 % interval of the difference, by bootstrap over users,
  reaches 0.

  Args:
    hits: of each budget, user and outcome; the share of the second outcome
      rises.

  Returns:
    The numbers of the first and the last budget, and whether there is a trade
    between them. Without one, all budgets between them are level with the best
    in both outcomes.
  """
  first = int(np.flatnonzero(_level(hits[..., 0])).max())
  last = int(np.flatnonzero(_level(hits[..., 1])).min())
  return min(first, last), max(first, last), first < last


def _level(hits: Int[np.ndarray, "p b"]) -> Bool[np.ndarray, "p"]:
  """Returns which budgets are level with the one that has the most hits."""
  lost = (hits[hits.sum(-1).argmax()] - hits).T
  return bootstrap.intervals(lost, np.ones_like(lost))[0] <= 0


def _budgets(names: Names, points: int) -> list[dict[str, float]]:
  """Returns the budgets of a sweep."""
  budgets: list[dict[str, float]] = []
  for here, there in itertools.pairwise(names):
    for place in range(bool(budgets), points):
      share = place / (points - 1)
      pair = {here: 1 - share, there: share}
      budgets.append({name: share for name, share in pair.items() if share})
  return budgets
