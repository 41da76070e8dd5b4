"""Reports as text, for the terminal."""

from collections.abc import Mapping, Sequence

import numpy as np

from pinrec_jax import markdown
from pinrec_jax.data import catalogue, splits
from pinrec_jax.evals import retrieval, run
from pinrec_jax.serve import retriever as retriever_lib
from pinrec_jax.types import Number


def recalls(
  report: Mapping[str, Number],
  models: Mapping[str, str],
  outcomes: Sequence[str],
  cutoffs: Sequence[int],
) -> str:
  """Returns recall and NDCG of several models; see `plots.recalls`."""
  head = ["one list of k", *models.values()]
  rows = []
  for k in cutoffs:
    for metric in ("recall", "ndcg"):
      for group in ["", *(f"/{name}" for name in outcomes)]:
        key = f"{metric}@{k}{group}"
        rows.append([key, *(f"{report[p + key]:.4f}" for p in models)])
  for key in (f"unordered_recall@{run.UNORDERED_K}", "vectors"):
    values = [report.get(prefix + key) for prefix in models]
    rows.append([key, *("" if v is None else f"{v:.4g}" for v in values)])
  return markdown.aligned(head, rows)


def sweep(rows: Sequence[Mapping[str, Number]], size: int) -> str:
  """Returns what each budget retrieves, a row a budget."""
  names = [key[7:] for key in rows[0] if key.startswith("budget/")]
  head = [
    *(f"budget {name}" for name in names),
    *(f"acted on: {name}" for name in names),
    f"recall@{size}",
  ]
  lines = [
    [
      *(f"{100 * row[f'budget/{name}']:.0f} %" for name in names),
      *(f"{100 * row[f'rate/{name}']:.3f} %" for name in names),
      f"{row['recall']:.4f}",
    ]
    for row in rows
  ]
  return f"turning the budget, {size} candidates a user\n" + markdown.aligned(
    head, lines
  )


def profile(figures: Mapping[str, Number]) -> str:
  """Returns what a log holds, a line a group of figures."""
  groups: dict[str, list[str]] = {}
  for key, value in figures.items():
    group, _, name = key.partition("/")
    told = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
    groups.setdefault(group, []).append(f"{name} {told}".strip())
  return markdown.aligned(
    ["", "of the log"], [[name, ", ".join(g)] for name, g in groups.items()]
  )


def flat(rows: Sequence[Mapping[str, Number]], name: str) -> dict[str, Number]:
  """Returns a list of rows as flat keys of a report."""
  return {
    f"{name}/{n}/{key}": value
    for n, row in enumerate(rows)
    for key, value in row.items()
  }


def examples(
  retriever: retriever_lib.Retriever,
  known: catalogue.Catalogue,
  cases: Sequence[splits.Case],
  users: int,
  *,
  size: int = 5,
) -> str:
  """Returns a few users' histories and what every outcome retrieves."""
  chosen = [cases[n] for n in range(0, len(cases), -(-len(cases) // users))]
  chosen = chosen[:users]
  names = retriever.config.evals.sweep
  budgets = [{name: 1.0} for name in names]
  if not retriever.config.model.conditioned:
    names, budgets = ("any outcome",), [{}]
  found = [
    retrieval.retrieve(retriever, chosen, size=size, budget=budget, quiet=True)
    for budget in budgets
  ]

  def told(rows: np.ndarray) -> str:
    return " ".join(str(key) for key in known.items.ids[rows])

  lines = []
  for n, case in enumerate(chosen):
    past = case.past.item[case.past.engaged]
    lines.append(
      f"user {case.user}: engaged with {told(past[-size:])} (last of "
      f"{len(past)}); then with {told(case.targets.item[:size])}"
    )
    lines += [
      f"  for {name}: {told(lists.items[n])}"
      for name, lists in zip(names, found, strict=True)
    ]
  return "\n".join(lines)
