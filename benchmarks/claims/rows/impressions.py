"""What was shown in vain as negatives.

  bash launch/local.sh --mode=reproduce --workdir=runs/claims \
    --config=configs/claims/impressions.py:mini

Of 1,024 negatives a quarter were shown and not acted on, or none. What is told
of mini was measured before they were filled up: half of them were missing.

Two models a seed, on one core of a shared x86-64 machine in 3 minutes on mini,
3 on synthetic and 13 on pure.

Expect of three seeds:

* recall@10 of with, over without (the paper's: +0.4 %): synthetic −0.4 ± 0.6 %
  ≈; mini −0.6 ± 1.3 % ≈; pure −0.1 ± 0.8 % ≈

docs/claims.md tells why, docs/claims/ every arm.
"""

import pathlib
import runpy

from pinrec_jax.claims import suite

SUITE = pathlib.Path(__file__).parent.parent / "claims.py"


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  drawn = {"loss.full_softmax": False}
  shown = {
    **drawn,
    "loss.impression_negatives": 256,
    "loss.in_batch_negatives": 512,
  }
  return suite.Row(
    "Negatives that were shown in vain, at an equal number of negatives, find "
    "more (paper: about +0.4 %).",
    {"without": suite.Arm(drawn), "with": suite.Arm(shown)},
    ("recall@10", "recall@100"),
    (suite.Test("with", "without", "recall@10", 0.004),),
  )


def get_config(log: str = "mini") -> suite.Suite:
  """Returns the row on one log."""
  return runpy.run_path(str(SUITE))["get_config"](f"{log}/impressions")
