"""One to sixteen generation steps.

  python benchmarks/claims/reproduce.py --log=mini --rows=steps \
    --workdir=runs/claims

One model without a requested outcome. Each generated vector is fed back as the
next event. Sixteen vectors also name more items than one, so the first and the
last arm are compared at 100 distinct items per user, too.

One model per seed. On one core of a shared x86-64 machine it takes 1 minute on
mini and synthetic, 6 on pure and 24 on ml_1m.

Expect with three seeds:

* unordered_recall@10: 16 steps vs. 1 step (paper: +71.4 %): synthetic +15.8 %
  (+9.0 to +22.9) ○; mini +43.5 % (+30.4 to +57.8) ✓; pure +31.8 % (+29.1 to
  +34.5) ○; ml_1m +27.2 ± 0.5 % ○
* distinct_recall@100: 16 steps vs. 1 step (paper: increase): synthetic −25.7 %
  (−34.1 to −16.2) ✗; mini −0.3 % (−2.3 to +1.8) ≈; pure −0.6 % (−1.5 to +0.3) ≈
"""

import suite


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  arms = {
    f"{steps} step{'s' * (steps > 1)}": suite.Arm(
      evaluate={"decode.budget": "unspecified:1", "decode.steps": steps}
    )
    for steps in (1, 2, 4, 8, 16)
  }
  first, *_, last = arms
  return suite.Row(
    "The number of generation steps",
    "More steps find more (paper: up to +71.4 % unordered recall from 1 to 16 "
    "steps).",
    arms,
    ("unordered_recall@10", "distinct_recall@100", "recall@10", "diversity"),
    (
      suite.Test(last, first, "unordered_recall@10", 0.714),
      # One vector and its 100 nearest items have as many items.
      suite.Test(last, first, "distinct_recall@100"),
    ),
  )
