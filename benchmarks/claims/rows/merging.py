"""Merging close vectors of an outcome, at the paper's threshold.

  python benchmarks/claims/reproduce.py --log=mini --rows=merging \
    --workdir=runs/claims

The paper merges vectors with a cosine above about 0.9. The default here is
0.99. A threshold of 2 merges nothing.

One model per seed, evaluated three times, with four steps. On one core of a
shared x86-64 machine it takes 2 minutes on mini and synthetic, 7 on pure and 24
on ml_1m.

Expect with three seeds:

* recall@10: threshold 0.9 vs. threshold 2 (paper: not reported): mini +1.6 %
  (−3.8 to +7.3) ≈
* recall@100: threshold 0.9 vs. threshold 2 (paper: not reported): mini −0.3 %
  (−1.6 to +1.0) ≈
* recall@100: threshold 0.99 vs. threshold 2 (paper: not reported): mini −0.1 %
  (−0.7 to +0.5) ≈
"""

import suite

THRESHOLDS = (0.9, 0.99, 2.0)


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  arms = {
    f"threshold {threshold:g}": suite.Arm(
      evaluate={"decode.steps": 4, "decode.dedup_threshold": threshold}
    )
    for threshold in THRESHOLDS
  }
  low, usual, nothing = arms
  return suite.Row(
    "Merging close vectors",
    "Merging vectors with a cosine above 0.9 loses nothing (the paper gives no "
    "number).",
    arms,
    ("recall@10", "recall@100", "vectors_kept"),
    (
      suite.Test(low, nothing, "recall@10", ours=True),
      suite.Test(low, nothing, "recall@100", ours=True),
      suite.Test(usual, nothing, "recall@100", ours=True),
    ),
  )
