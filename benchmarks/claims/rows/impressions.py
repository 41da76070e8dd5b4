"""Impressions without engagement as negatives.

  python benchmarks/claims/reproduce.py --log=mini --rows=impressions \
    --workdir=runs/claims

Both arms have 1,024 negatives; a quarter of one arm's are impressions. The
stored figures of mini come from an earlier version, in which half of the
impression negatives were missing.

Two models per seed. On one core of a shared x86-64 machine they take 3 minutes
on mini and synthetic, and 13 on pure.

Expect with three seeds:

* recall@10: impressions vs. no impressions (paper: +0.4 %): synthetic −0.4 ±
  0.6 % ≈; mini −0.6 ± 1.3 % ≈; pure −0.1 ± 0.8 % ≈
"""

import suite


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  sampled = {"loss.full_softmax": False}
  impressions = {
    **sampled,
    "loss.impression_negatives": 256,
    "loss.in_batch_negatives": 512,
  }
  return suite.Row(
    "Impressions as negatives",
    "At an equal number of negatives, impressions without engagement as "
    "negatives find more (paper: about +0.4 %).",
    {
      "no impressions": suite.Arm(sampled),
      "impressions": suite.Arm(impressions),
    },
    ("recall@10", "recall@100"),
    (suite.Test("impressions", "no impressions", "recall@10", 0.004),),
  )
