"""Hashed item ids beside content features.

  python benchmarks/claims/reproduce.py --log=mini --rows=hashed_ids \
    --workdir=runs/claims

The model without ids has a hash table of one row, which all items share.

Two models per seed. On one core of a shared x86-64 machine they take 3 minutes
on mini, 13 on pure and 48 on ml_1m.

Expect with three seeds:

* recall@10: content and ids vs. content only (paper: +14.0 %): mini +5.7 ±
  4.1 % ≈; pure +3.5 ± 0.7 % ○; ml_1m +194 ± 8.0 % ⇑
"""

import suite


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  without, both = "content only", "content and ids"
  return suite.Row(
    "Hashed item ids beside content",
    "Hashed ids beside content find more than content alone (paper: +14.0 to "
    "+14.4 %).",
    {
      without: suite.Arm({"model.num_hashes": 1, "model.table_size": 1}),
      both: suite.Arm(),
    },
    ("recall@10", "recall@10/head_items", "recall@10/tail_items"),
    (suite.Test(both, without, "recall@10", 0.14),),
  )
