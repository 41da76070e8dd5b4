"""Several positives of a query: minimum, soft minimum or mean of their losses.

  python benchmarks/claims/reproduce.py --log=mini --rows=reductions \
    --workdir=runs/claims

A query of the multi-token model has all targets in a bucket of time ahead as
its positives. The paper trains the minimum of their losses. In a wide bucket,
the nearest positive is often a popular item. The arms have one vector, at the
farthest time ahead.

Three models per seed. On one core of a shared x86-64 machine they take 6
minutes on mini and synthetic, 25 on pure and 72 on ml_1m.

Expect with three seeds:

* recall@10: minimum vs. mean (paper: not reported): mini +4.5 % (+0.1 to +9.1)
  ≈
* recall@100: minimum vs. mean (paper: not reported): mini +1.9 % (+0.4 to +3.4)
  ≈
* recall@10: minimum vs. soft minimum (paper: not reported): mini +0.8 % (−1.9
  to +3.7) ≈
* recall@100: minimum vs. soft minimum (paper: not reported): mini +0.4 % (−1.0
  to +1.8) ≈
"""

import dataclasses

import suite

from rows import multi_token

REDUCTIONS = {"minimum": "min", "soft minimum": "softmin", "mean": "mean"}


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  one = multi_token.arms(log)[multi_token.FARTHEST]
  arms = {
    name: dataclasses.replace(
      one, train={**one.train, "loss.multi_positive": kind}
    )
    for name, kind in REDUCTIONS.items()
  }
  return suite.Row(
    "How the losses of several positives become one",
    "The minimum finds more than the mean (the paper trains the minimum, and "
    "gives no figure for the mean).",
    arms,
    ("recall@10", "recall@100", "coverage"),
    tuple(
      suite.Test("minimum", other, metric, ours=True)
      for other in ("mean", "soft minimum")
      for metric in ("recall@10", "recall@100")
    ),
  )
