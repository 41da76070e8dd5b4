"""Reports as text, for the terminal."""

from collections.abc import Mapping, Sequence

from pinrec_jax import markdown, reports
from pinrec_jax.evals import evaluate
from pinrec_jax.types import Number

Models = Mapping[str, Mapping[str, Number]]  # Figures of each model by name.


def recalls(
  models: Models, outcomes: Sequence[str], cutoffs: Sequence[int]
) -> str:
  """Returns recall and NDCG of several models, overall and by outcome."""
  head = ["list of k items", *models]
  rows = []
  for k in cutoffs:
    for metric in ("recall", "ndcg"):
      for group in ["", *(f"/{name}" for name in outcomes)]:
        key = f"{metric}@{k}{group}"
        rows.append([key, *(f"{own[key]:.4f}" for own in models.values())])
  for key in (f"unordered_recall@{evaluate.UNORDERED_K}", "vectors"):
    values = [own.get(key) for own in models.values()]
    rows.append([key, *("" if v is None else f"{v:.4g}" for v in values)])
  note = "recall: fraction of all targets found; ndcg: mean over users"
  return f"{markdown.aligned(head, rows)}\n{note}"


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
      f"{row['recall']:.4f}",
    ]
    for row in rows
  ]
  title = f"budget sweep, {size} candidates per user (number of hits)"
  return f"{title}\n{markdown.aligned(head, lines)}"


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
