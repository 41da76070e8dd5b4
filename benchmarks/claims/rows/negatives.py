"""How many negatives, from the batch and from all items.

  bash launch/local.sh --mode=reproduce --workdir=runs/claims \
    --config=configs/claims/negatives.py:mini

Negatives are drawn, where most other rows of pure and ml_1m take all items.

Six models a seed, on one core of a shared x86-64 machine in 8 minutes on mini,
8 on synthetic, 39 on pure and 30 on ml_1m.

Expect of three seeds:

* recall@10 of 96 in-batch, over 64 in-batch (the paper's: +4.2 %): synthetic
  +1.8 ± 2.6 % ≈; mini +3.4 ± 1.3 % ✓; pure +0.9 ± 1.1 % ≈; ml_1m +4.0 ± 1.6 % ✓
* recall@10 of 128 in-batch, over 64 in-batch (the paper's: +8.4 %): synthetic
  +21.0 ± 40.1 % ≈; mini +2.8 ± 4.7 % ≈; pure +2.8 ± 0.7 % ○; ml_1m +5.4 ± 0.6 %
  ✓
* recall@10 of 768 in-batch, over 64 in-batch (the paper's: +18.3 %): synthetic
  +282 ± 7.4 % ✓; mini +10.8 ± 4.3 % ✓; pure +6.2 ± 0.9 % ○; ml_1m +14.3 ± 1.8 %
  ✓
* recall@10 of 2048 uniform, over 1024 uniform (the paper's: +2.5 %): synthetic
  −0.1 ± 0.6 % ≈; mini −1.9 ± 1.0 % ≈; pure +0.3 ± 0.6 % ≈; ml_1m +0.1 ± 2.5 % ≈

docs/claims.md tells why, docs/claims/ every arm.
"""

import pathlib
import runpy

from pinrec_jax.claims import suite

SUITE = pathlib.Path(__file__).parent.parent / "claims.py"


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  arms = {
    f"{n} in-batch": suite.Arm(
      {"loss.full_softmax": False, "loss.in_batch_negatives": n}
    )
    for n in (64, 96, 128, 768)
  }
  arms |= {
    f"{n} uniform": suite.Arm(
      {"loss.full_softmax": False, "loss.uniform_negatives": n}
    )
    for n in (1024, 2048)
  }
  return suite.Row(
    "More negatives find more (paper: in-batch x1.5 +4.2, x2 +8.4, x12 "
    "+18.3 %; uniform x2 +2.5 %). What is not told stays at 768 in-batch and "
    "256 uniform.",
    arms,
    ("recall@10", "recall@100"),
    (
      suite.Test("96 in-batch", "64 in-batch", "recall@10", 0.042),
      suite.Test("128 in-batch", "64 in-batch", "recall@10", 0.084),
      suite.Test("768 in-batch", "64 in-batch", "recall@10", 0.183),
      suite.Test("2048 uniform", "1024 uniform", "recall@10", 0.025),
    ),
  )


def get_config(log: str = "mini") -> suite.Suite:
  """Returns the row on one log."""
  return runpy.run_path(str(SUITE))["get_config"](f"{log}/negatives")
