"""Outcome conditioning with another backbone.

  python benchmarks/claims/reproduce.py --log=mini --rows=hstu \
    --workdir=runs/claims

The paper gives recall of HSTU-OC and none of HSTU without conditions.

Two models per seed. On one core of a shared x86-64 machine they take 3 minutes
on mini and synthetic, 13 on pure and 60 on ml_1m.

Expect with three seeds:

* recall@10: HSTU-OC vs. HSTU (paper: not reported): mini +2.6 % (−3.0 to +8.5)
  ≈
* recall@100: HSTU-OC vs. HSTU (paper: not reported): mini +0.3 % (−1.3 to +2.1)
  ≈
"""

import logs
import suite


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  models = logs.FAMILY["MODELS"]
  return suite.Row(
    "Conditions with HSTU as the backbone",
    "Conditions help another backbone, too: HSTU-OC finds more than HSTU.",
    {
      "HSTU": suite.Arm({**models["hstu"], "decode.budget": ""}),
      "HSTU-OC": suite.Arm(models["hstu_oc"]),
    },
    ("recall@10", "unordered_recall@10", "recall@100"),
    (
      suite.Test("HSTU-OC", "HSTU", "recall@10", ours=True),
      suite.Test("HSTU-OC", "HSTU", "recall@100", ours=True),
    ),
  )
