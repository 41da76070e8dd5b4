"""What correcting for how negatives are drawn is worth.

  bash launch/local.sh --mode=reproduce --workdir=runs/claims \
    --config=configs/claims/logq.py:mini

Negatives are drawn, from the batch and from all items; the classic correction
is the positive's too.

Three models a seed, on one core of a shared x86-64 machine in 4 minutes on
mini, 4 on synthetic, 20 on pure and 15 on ml_1m.

Expect of three seeds:

* recall@10 of corrected, over classic (the paper's: a gain): synthetic +0.3 ±
  0.3 % ≈; mini −0.2 ± 4.1 % ≈; pure −0.4 ± 0.1 % ✗; ml_1m +0.2 ± 1.6 % ≈
* recall@10 of corrected, over none (the paper's: a gain): synthetic +29.8 ± 1.1
  % ✓; mini +400 ± 23.8 % ✓; pure +120 ± 2.9 % ✓; ml_1m +25.6 ± 3.2 % ✓

docs/claims.md tells why, docs/claims/ every arm.
"""

import pathlib
import runpy

from pinrec_jax.claims import suite

SUITE = pathlib.Path(__file__).parent.parent / "claims.py"


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  arms = {
    n: suite.Arm({"loss.full_softmax": False, "loss.logq": n})
    for n in ("none", "classic", "corrected")
  }
  return suite.Row(
    "The logQ correction that leaves the positive alone finds more than the "
    "classic one (arXiv 2507.09331), and either more than none.",
    arms,
    ("recall@10", "recall@100", "coverage"),
    (
      suite.Test("corrected", "classic", "recall@10"),
      suite.Test("corrected", "none", "recall@10"),
    ),
  )


def get_config(log: str = "mini") -> suite.Suite:
  """Returns the row on one log."""
  return runpy.run_path(str(SUITE))["get_config"](f"{log}/logq")
