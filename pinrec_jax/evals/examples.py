"""What each outcome retrieves for a few users, to look at."""

from collections.abc import Sequence

from pinrec_jax import reports
from pinrec_jax.data import evaluation_cases
from pinrec_jax.evals import retrieve
from pinrec_jax.inference import engine

USERS, ITEMS = 3, 5  # Users that are shown, and items of each list.
DEFAULT = "the default budget"  # Name of its list.


def of_users(
  retriever: engine.Retriever,
  cases: Sequence[evaluation_cases.Case],
  outcomes: Sequence[str],
) -> list[reports.Example]:
  """Returns what every outcome retrieves for a few users, chosen evenly.

  The list of the default budget comes first.
  """
  every = -(-len(cases) // USERS)
  chosen = cases[::every][:USERS]
  budgets: dict[str, str | None] = {DEFAULT: None}
  if retriever.bundle.config.model.conditioned:
    budgets |= {name: f"{name}:1" for name in outcomes}
  lists = {
    name: retrieve.retrieve(
      retriever,
      chosen,
      retriever.reader.defaults(budget=budget).ask,
      size=ITEMS,
      batch_size=len(chosen),
      quiet=True,
    ).items
    for name, budget in budgets.items()
  }
  ids = retriever.bundle.catalog.items.ids
  found = []
  for row, case in enumerate(chosen):
    engaged = case.past.item[case.past.engaged]
    found.append(
      reports.Example(
        user=case.user,
        engagements=len(engaged),
        history=ids[engaged[-ITEMS:]].tolist(),
        targets=ids[case.targets.item[:ITEMS]].tolist(),
        lists={
          name: ids[own[row][own[row] >= 0]].tolist()
          for name, own in lists.items()
        },
      )
    )
  return found
