"""Conditioning on outcomes, compared with no conditioning.

  python benchmarks/claims/reproduce.py --log=mini --rows=oc_over_uc \
    --workdir=runs/claims

UC is the same network without conditions, trained for as long. OC splits its
list over all outcomes, by their fractions of the training log. At equal
vectors, UC takes one step per outcome.

Two models per seed, three on pure. On one core of a shared x86-64 machine they
take 3 minutes on mini and synthetic, 20 on pure and 48 on ml_1m.

Expect with three seeds:

* recall@10: OC vs. UC (paper: +2.8 %): synthetic +0.1 % (−0.9 to +1.2) ≈; mini
  −4.3 ± 3.1 % ≈; pure +5.4 % (+2.9 to +8.1) ✓; ml_1m −1.0 ± 2.5 % ≈
* unordered_recall@10: OC vs. UC at equal vectors (paper: +2.8 %): synthetic
  +21.1 % (+18.7 to +23.5) ⇑; mini +25.1 ± 7.1 % ≈; pure +25.9 % (+22.5 to
  +29.3) ⇑; ml_1m +6.0 ± 2.2 % ≈
* recall@10: OC without ages vs. UC (paper: +2.8 %): pure +3.2 % (+0.8 to +5.7)
  ✓
* unordered_recall@10: OC without ages vs. UC at equal vectors (paper: +2.8 %):
  pure +24.7 % (+21.0 to +28.5) ⇑
"""

import dataclasses

import logs
import suite


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  ageless = logs.FAMILY["AGELESS"]
  uc = {"model.conditioned": False, "decode.budget": ""}
  fractions = {"decode.budget": ""}  # The fractions of the training log.
  arms = {
    "UC": suite.Arm(uc),
    "UC at equal vectors": suite.Arm(uc, {"decode.steps": len(outcomes)}),
    "OC": suite.Arm(evaluate=fractions),
    "OC without an outcome": suite.Arm(
      evaluate={"decode.budget": "unspecified:1"}
    ),
  }
  tests = [
    suite.Test("OC", "UC", "recall@10", 0.028),
    suite.Test("OC", "UC at equal vectors", "unordered_recall@10", 0.028),
  ]
  if log in ageless:
    arms["OC without ages"] = suite.Arm(ageless[log], fractions)
    tests += [
      dataclasses.replace(test, arm="OC without ages") for test in tests
    ]
  return suite.Row(
    "Conditioned (OC) and unconditioned (UC) retrieval",
    "A model that is conditioned on outcomes finds more engagements of all "
    "kinds (paper: +0.6 to +3.1 %). Its budget is each outcome's fraction of "
    "the training log. Unordered recall is compared at equal vectors: UC takes "
    "one step per outcome.",
    arms,
    ("recall@10", "ndcg@10", "unordered_recall@10", "vectors"),
    tuple(tests),
  )
