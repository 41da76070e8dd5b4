"""Every model that PinRec is held against, in one table.

  bash launch/local.sh --mode=reproduce --workdir=runs/claims \
    --config=configs/claims/family.py:mini

Two-tower, SASRec, PinnerFormer, HSTU, PinRec-UC, -OC and -{MT,OC}: fields of
configs/family.py, with the same sizes, negatives and number of updates.

Seven models a seed, eight on pure, on one core of a shared x86-64 machine in 9
minutes on mini, 9 on synthetic, 52 on pure and 35 on ml_1m.

Expect of three seeds:

* recall@10 of uc, over pinnerformer (the paper's: +26.0 %): synthetic +285 ±
  5.6 % ✓; mini +0.7 ± 2.8 % ≈; pure −0.2 ± 0.5 % ≈; ml_1m +151 ± 9.1 % ✓
* coverage of uc, over two_tower (the paper's: +6.2 %): synthetic +748 ± 686 %
  ≈; mini −30.0 ± 11.8 % ✗; pure −20.7 ± 1.9 % ✗; ml_1m +27.4 ± 4.1 % ✓
* coverage of oc, over two_tower (the paper's: +17.3 %): synthetic +741 ± 684 %
  ≈; mini −23.1 ± 12.1 % ≈; pure −41.9 ± 3.8 % ✗; ml_1m +29.1 ± 2.6 % ✓
* recall@10 of oc, over sasrec (the paper's: a gain): synthetic +0.4 ± 0.4 % ≈;
  mini +8.0 ± 7.6 % ≈; pure +5.1 ± 0.6 % ✓; ml_1m +7.1 ± 1.5 % ✓
* coverage of oc without ages, over two_tower (the paper's: +17.3 %): pure −29.6
  ± 3.6 % ✗
* recall@10 of oc without ages, over sasrec (the paper's: a gain): pure +1.5 ±
  0.5 % ✓

docs/claims.md tells why, docs/claims/ every arm.
"""

import dataclasses
import pathlib
import runpy

from pinrec_jax.claims import suite

SUITE = pathlib.Path(__file__).parent.parent / "claims.py"
FAMILY = runpy.run_path(str(SUITE.with_name("family.py")))
MODELS, AGELESS = FAMILY["MODELS"], FAMILY["AGELESS"]
UNCONDITIONED = ("two_tower", "sasrec", "pinnerformer", "hstu", "uc")


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  arms = {
    name: suite.Arm({**MODELS[name], "decode.budget": ""})
    for name in UNCONDITIONED
  }
  arms |= {"oc": suite.Arm(), "mt_oc": suite.Arm(MODELS["mt_oc"])}
  tests = [
    suite.Test("uc", "pinnerformer", "recall@10", 0.26),
    suite.Test("uc", "two_tower", "coverage", 0.062),
    suite.Test("oc", "two_tower", "coverage", 0.173),
    suite.Test("oc", "sasrec", "recall@10"),
  ]
  if log in AGELESS:
    arms["oc without ages"] = suite.Arm(AGELESS[log])
    tests += [
      dataclasses.replace(test, arm="oc without ages") for test in tests[2:]
    ]
  return suite.Row(
    "PinRec-UC finds more than PinnerFormer (paper: +26 to +36 %), and UC and "
    "OC cover more of the catalog than a two-tower (+6.2, +17.3 %).",
    arms,
    ("recall@10", "ndcg@10", "coverage", "recall@10/tail_items"),
    tuple(tests),
  )


def get_config(log: str = "mini") -> suite.Suite:
  """Returns the row on one log."""
  return runpy.run_path(str(SUITE))["get_config"](f"{log}/family")
