"""Items that training never saw (cold items).

  python benchmarks/claims/reproduce.py --log=mini --rows=cold \
    --workdir=runs/claims

A tenth of the catalog is removed from training, because too few test targets
are new items. `recall@10/cold_only` is recall of the targets among these cold
items, in lists of cold items alone.

Two models per seed. On one core of a shared x86-64 machine they take 3 minutes
on mini, 13 on pure and 10 on ml_1m.

Expect with three seeds:

* recall@10/cold_only: id_dropout 0.1 vs. id_dropout 0 (paper: increase): mini
  +165 ± 88.9 % ≈; pure +50.7 ± 33.2 % ≈; ml_1m +43.8 ± 13.3 % ✓
"""

import suite

FRACTION = 0.1  # Of the catalog.


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  without, dropped = "id_dropout 0", "id_dropout 0.1"
  return suite.Row(
    "Cold items, with and without id dropout",
    "Dropping ids in training lets content represent items that training never "
    "saw. A tenth of the catalog is removed from training. recall@10/cold_only "
    "counts these cold items in lists of cold items alone; a random list has a "
    "recall of 10 / cold_candidates.",
    {
      without: suite.Arm(cold_fraction=FRACTION),
      dropped: suite.Arm({"model.id_dropout": 0.1}, cold_fraction=FRACTION),
    },
    (
      "recall@10",
      "recall@100/cold_items",
      "recall@10/cold_only",
      "cold_candidates",
    ),
    (suite.Test(dropped, without, "recall@10/cold_only"),),
  )
