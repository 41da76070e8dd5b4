"""Reports as text, for the terminal."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from pinrec_jax import markdown, reports
from pinrec_jax.data import repeats as repeats_lib
from pinrec_jax.evals import evaluate
from pinrec_jax.types import Number

Models = Mapping[str, Mapping[str, Number]]  # Figures of each model by name.
BOUNDS = ("low", "high")


def recalls(
  models: Models, targets: Mapping[str, int], cutoffs: Sequence[int]
) -> str:
  """Returns recall and NDCG of several models, overall and by outcome.

  Args:
    models: figures of each model by its name.
    targets: number of targets, "" for all and NAME for those of an outcome. One
      without targets is left out.
    cutoffs: lengths of lists.
  """
  ndcg = f"ndcg@{min(cutoffs)}"
  head = ["targets", "model", *(f"recall@{k}" for k in cutoffs), ndcg]
  rows = []
  for name, count in targets.items():
    group = f"/{name}" if name else ""
    for model, own in models.items() if count else ():
      rows.append(
        [
          f"{name or 'all'} ({count:,})",
          model,
          *(_recall(own, f"recall@{k}{group}") for k in cutoffs),
          f"{own[ndcg + group]:.4f}",
        ]
      )
  note = (
    "recall: fraction of the targets found (95 % interval over users; hits)\n"
    "ndcg: mean over users"
  )
  return f"{markdown.aligned(head, rows)}\n{note}"


def _recall(figures: Mapping[str, Number], key: str) -> str:
  """Returns a recall with its interval and its hits."""
  low, high, hits = (figures[f"{key}:{end}"] for end in ("low", "high", "hits"))
  return f"{figures[key]:.4f} ({low:.4f} to {high:.4f}; {hits:,})"


def neighbours(models: Models) -> str:
  """Returns the unordered recall of the models that generate vectors."""
  key = f"unordered_recall@{evaluate.UNORDERED_K}"
  rows = [
    [name, f"{own[key]:.4f}", f"{own['vectors']}"]
    for name, own in models.items()
    if key in own
  ]
  return markdown.aligned(["model", key, "vectors"], rows)


def sweep(rows: Sequence[Mapping[str, Number]], size: int) -> str:
  """Returns what each budget retrieves, one row per budget."""
  names = [key[7:] for key in rows[0] if key.startswith("budget/")]
  head = [
    *(f"budget {name}" for name in names),
    *(f"acted on: {name}" for name in names),
    f"recall@{size}",
  ]
  lines = [
    [
      *(f"{100 * row[f'budget/{name}']:.0f} %" for name in names),
      *(
        f"{100 * row[f'rate/{name}']:.3f} % ({row[f'hits/{name}']})"
        for name in names
      ),
      _recall(row, "recall"),
    ]
    for row in rows
  ]
  title = (
    f"budget sweep, {size} candidates per user (hits; recall with its 95 % "
    "interval)"
  )
  return f"{title}\n{markdown.aligned(head, lines)}"


def steering(figures: Mapping[str, Number], names: Sequence[str]) -> str:
  """Returns how well the lists of a sweep follow the budget.

  Args:
    figures: of the sweep, as in `budget_sweep.Sweep`.
    names: outcomes of the sweep, in order.
  """
  unchanged, same, error = (
    f"{100 * figures[key]:.1f}"
    for key in ("unchanged", "same_items", "share_error")
  )
  lines = [
    f"unchanged lists between neighbouring budgets: at most {unchanged} % of "
    f"the users; same items in any order: at most {same} %",
    f"largest difference between asked and achieved share: {error} points",
  ]
  for here, there in itertools.pairwise(names):
    key = f"working_range/{here}/{there}"
    low, high = (f"{100 * figures[f'{key}:{end}']:.0f}" for end in BOUNDS)
    effect = f"more {there} costs {here}, and outside one of them is lost"
    if not figures[f"{key}:trades"]:
      effect = "both are level with their best, so there is no trade-off"
    lines.append(
      f"working range from {here} to {there}: {low} to {high} % {there}; "
      f"{effect}"
    )
  return "\n".join(lines)


def statistics(figures: Mapping[str, Number]) -> str:
  """Returns what a log holds, one line per group of figures."""
  groups: dict[str, list[str]] = {}
  for key, value in figures.items():
    group, _, name = key.partition("/")
    shown = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
    groups.setdefault(group, []).append(f"{name} {shown}".strip())
  return markdown.aligned(
    ["", "of the log"], [[name, ", ".join(g)] for name, g in groups.items()]
  )


def repeats(found: repeats_lib.Repeats) -> str:
  """Returns how many engagements are repeats, and which filter suits."""
  every, *outcomes = found.engagements
  shown = ", ".join(
    f"{name} {100 * found.fraction(name):.1f} %"
    for name in outcomes
    if found.engagements[name]
  )
  return (
    f"{100 * found.fraction(every):.1f} % of the engagements are repeats: the "
    f"user engaged with the item before ({shown}). index.filter_seen="
    f"{found.filter_seen} suits this log, and auto chooses it"
  )


def examples(found: Sequence[reports.Example]) -> str:
  """Returns a few users' histories and candidates."""
  lines = []
  for one in found:
    lines.append(
      f"user {one.user} has {one.engagements} engagements. Last items: "
      f"{_ids(one.history)}. Next items: {_ids(one.targets)}."
    )
    lines += [
      f"  candidates for {name}: {_ids(own)}" for name, own in one.lists.items()
    ]
  return "\n".join(lines)


def _ids(items: Sequence[object]) -> str:
  return " ".join(map(str, items))


def day(line: Mapping[str, Any]) -> str:
  """Returns what a daily update did; unknown parts are left out."""
  rows = [
    f"trained {line['steps']:,} steps on {line['targets']:,} new targets and "
    f"{line['replayed']:,} of earlier days"
    if line["targets"]
    else "there was no new target before the newest hours, so nothing was "
    "trained"
  ]
  if "recall" in line:
    rows.append(
      f"recall@{line['k']} on {line['gate_targets']:,} targets of "
      f"{line['users']:,} users in the newest hours: {line['recall']:.4f} "
      f"(yesterday's model {line['yesterday']:.4f}, popularity "
      f"{line['popularity']:.4f}, last items {line['last_items']:.4f})"
    )
  rows.append(
    {
      "passed": f"published: {line['bundle']}",
      "unchanged": f"published with yesterday's weights: {line['bundle']}",
      "worse": "not published: the new model is worse than yesterday's by more "
      "than config.update.margin; yesterday's bundle stays",
      "unmeasured": "not published: no user has five earlier events and a "
      "target in the newest hours; raise config.update.gate_hours. The next "
      "update trains on these events, too",
    }[line["reason"]]
  )
  return "\n".join(rows)
