"""Items that training never saw.

  bash launch/local.sh --mode=reproduce --workdir=runs/claims \
    --config=configs/claims/cold.py:mini

What is found of the targets among them, with IDs hidden in training and not. A
tenth of the catalog is withheld from training: of what is new by itself there
is too little to measure with.

Two models a seed, on one core of a shared x86-64 machine in 3 minutes on mini,
13 on pure and 10 on ml_1m.

Expect of three seeds:

* recall@10/alone of one id in ten, over no (the paper's: a gain): mini +165 ±
  88.9 % ≈; pure +50.7 ± 33.2 % ≈; ml_1m +43.8 ± 13.3 % ✓

docs/claims.md tells why, docs/claims/ every arm.
"""

import pathlib
import runpy

from pinrec_jax.claims import suite

SUITE = pathlib.Path(__file__).parent.parent / "claims.py"


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  withheld = {"data.cold_item_fraction": 0.1}
  arms = {
    "no": suite.Arm(withheld),
    "one id in ten": suite.Arm({**withheld, "model.id_dropout": 0.1}),
  }
  return suite.Row(
    "Hiding IDs in training lets content stand for items that training never "
    "saw. A tenth of the items is withheld from it; alone is of lists of "
    "these, of which chance finds ten in withheld_candidates.",
    arms,
    (
      "recall@10",
      "recall@100/withheld_items",
      "recall@10/alone",
      "withheld_candidates",
    ),
    (suite.Test("one id in ten", "no", "recall@10/alone"),),
  )


def get_config(log: str = "mini") -> suite.Suite:
  """Returns the row on one log."""
  return runpy.run_path(str(SUITE))["get_config"](f"{log}/cold")
