"""The logQ correction of sampled negatives.

  python benchmarks/claims/reproduce.py --log=mini --rows=logq \
    --workdir=runs/claims

Negatives are sampled from the batch and from the catalog. The arms are the
values of loss.logq; "classic" corrects the positive, too.

Three models per seed. On one core of a shared x86-64 machine they take 4
minutes on mini and synthetic, 20 on pure and 15 on ml_1m.

Expect with three seeds:

* recall@10: corrected vs. classic (paper: increase): synthetic +0.3 ± 0.3 %
  ≈; mini −0.2 ± 4.1 % ≈; pure −0.4 ± 0.1 % ≈; ml_1m +0.2 ± 1.6 % ≈
* recall@10: corrected vs. none (paper: increase): synthetic +29.8 ± 1.1 % ✓;
  mini +400 ± 23.8 % ✓; pure +120 ± 2.9 % ✓; ml_1m +25.6 ± 3.2 % ✓
"""

import suite


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  arms = {
    name: suite.Arm({"loss.full_softmax": False, "loss.logq": name})
    for name in ("none", "classic", "corrected")
  }
  return suite.Row(
    "The logQ correction of sampled negatives",
    "A logQ correction that leaves the positive out finds more than the "
    "classic correction (arXiv 2507.09331). Both find more than no correction.",
    arms,
    ("recall@10", "recall@100", "coverage"),
    (
      suite.Test("corrected", "classic", "recall@10"),
      suite.Test("corrected", "none", "recall@10"),
    ),
  )
