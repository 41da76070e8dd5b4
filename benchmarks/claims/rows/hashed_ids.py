"""What an item's hashed ID adds to its content.

  bash launch/local.sh --mode=reproduce --workdir=runs/claims \
    --config=configs/claims/hashed_ids.py:mini

Without, one row of one table stands for every item.

Two models a seed, on one core of a shared x86-64 machine in 3 minutes on mini,
13 on pure and 48 on ml_1m.

Expect of three seeds:

* recall@10 of with, over without (the paper's: +14.0 %): mini +5.7 ± 4.1 % ≈;
  pure +3.5 ± 0.7 % ○; ml_1m +194 ± 8.0 % ✓

docs/claims.md tells why, docs/claims/ every arm.
"""

import pathlib
import runpy

from pinrec_jax.claims import suite

SUITE = pathlib.Path(__file__).parent.parent / "claims.py"


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  return suite.Row(
    "Hashed IDs beside content find more than content alone (paper: +14.0 to "
    "+14.4 %). Without, every item has the same ID.",
    {
      "without": suite.Arm({"model.num_hashes": 1, "model.table_size": 1}),
      "with": suite.Arm(),
    },
    ("recall@10", "recall@10/head_items", "recall@10/tail_items"),
    (suite.Test("with", "without", "recall@10", 0.14),),
  )


def get_config(log: str = "mini") -> suite.Suite:
  """Returns the row on one log."""
  return runpy.run_path(str(SUITE))["get_config"](f"{log}/hashed_ids")
