"""What a model gains by knowing outcomes.

  bash launch/local.sh --mode=reproduce --workdir=runs/claims \
    --config=configs/claims/oc_over_uc.py:mini

UC is the same network, trained as long, without conditions. OC is asked for
every outcome in its share of the training log. At equal vectors, UC takes as
many steps as OC has outcomes.

Two models a seed, three on pure, on one core of a shared x86-64 machine in 3
minutes on mini, 3 on synthetic, 20 on pure and 48 on ml_1m.

Expect of three seeds:

* recall@10 of OC, over UC (the paper's: +2.8 %): synthetic −0.1 ± 0.4 % ≈; mini
  −4.3 ± 3.1 % ≈; pure +7.5 ± 0.8 % ✓; ml_1m −1.0 ± 2.5 % ≈
* unordered_recall@10 of OC, over UC, more steps (the paper's: +2.8 %):
  synthetic +20.7 ± 0.1 % ✓; mini +25.1 ± 7.1 % ✓; pure +29.0 ± 1.5 % ✓; ml_1m
  +6.0 ± 2.2 % ✓
* recall@10 of OC without ages, over UC (the paper's: +2.8 %): pure +5.3 ± 0.8 %
  ✓
* unordered_recall@10 of OC without ages, over UC, more steps (the paper's: +2.8
  %): pure +25.6 ± 2.2 % ✓

docs/claims.md tells why, docs/claims/ every arm.
"""

import pathlib
import runpy

from pinrec_jax.claims import suite

SUITE = pathlib.Path(__file__).parent.parent / "claims.py"
AGELESS = runpy.run_path(str(SUITE.with_name("family.py")))["AGELESS"]


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  uc = {"model.conditioned": False, "decode.budget": ""}
  # Outcomes in proportion to the training log.
  shares = {"decode.budget": ""}
  arms = {
    "UC": suite.Arm(uc),
    "UC, more steps": suite.Arm(uc, {"decode.steps": len(outcomes)}),
    "OC": suite.Arm(ask=shares),
    "OC, no outcome": suite.Arm(ask={"decode.budget": "unspecified:1"}),
  }
  tests = [
    suite.Test("OC", "UC", "recall@10", 0.028),
    suite.Test("OC", "UC, more steps", "unordered_recall@10", 0.028),
  ]
  if log in AGELESS:
    arms["OC without ages"] = suite.Arm(AGELESS[log], shares)
    tests += [
      suite.Test("OC without ages", test.over, test.metric, test.paper)
      for test in tests
    ]
  return suite.Row(
    "Conditioned on outcomes, in proportion to the training log, a model "
    "retrieves more of all engagements (paper: +0.6 to +3.1 %). Unordered "
    "recall is at equal vectors: UC takes as many steps as OC has outcomes.",
    arms,
    ("recall@10", "ndcg@10", "unordered_recall@10", "vectors"),
    tuple(tests),
  )


def get_config(log: str = "mini") -> suite.Suite:
  """Returns the row on one log."""
  return runpy.run_path(str(SUITE))["get_config"](f"{log}/oc_over_uc")
