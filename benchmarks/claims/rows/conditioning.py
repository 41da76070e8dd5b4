"""Recall of each outcome, by the outcome that is requested.

  python benchmarks/claims/reproduce.py --log=mini --rows=conditioning \
    --workdir=runs/claims

One model is evaluated once per requested outcome. The plot is the matrix of
gains over UC. The gains should be on its diagonal.

Two models per seed. On one core of a shared x86-64 machine they take 3 minutes
on mini and synthetic, 13 on pure and 48 on ml_1m.

Expect with three seeds:

* recall@10 of the requested outcome: OC vs. UC (paper: +1.4 %): synthetic +12.7
  to +18.1 %: 2 ⇑; mini −4.2 to +1.6 %: 3 ≈; pure +3.3 to +14.1 %: 2 ✓, 1 ≈;
  ml_1m +1.7 to +7.0 %: 3 ≈
* recall@10 of each other outcome: OC vs. UC (paper: decrease): synthetic −77.3
  to −46.4 %: 2 ✓; mini −41.0 to +1.1 %: 2 ✓, 4 ≈; pure −32.9 to +3.6 %: 2 ✓, 3
  ≈, 1 ✗; ml_1m −28.4 to −1.6 %: 3 ✓, 3 ≈
"""

import logs
import suite


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  outcomes = outcomes[:3]  # All further outcomes are too rare.
  uc = {"model.conditioned": False, "decode.budget": ""}
  # Without target ages, a request names outcomes alone, as in the paper.
  oc = logs.FAMILY["AGELESS"].get(log, {})
  arms = {"UC": suite.Arm(uc)}
  tests = []
  for requested in outcomes:
    arms[requested] = suite.Arm(oc, {"decode.budget": f"{requested}:1"})
    # The paper reports +1.4 to +6.2 % for the requested outcome, and decreases
    # without numbers for the others.
    tests.append(suite.Test(requested, "UC", f"recall@10/{requested}", 0.014))
    tests += [
      suite.Test(requested, "UC", f"recall@10/{other}", decrease=True)
      for other in outcomes
      if other != requested
    ]
  metrics = tuple(f"recall@10/{name}" for name in outcomes)
  return suite.Row(
    "Recall of each outcome, by the requested outcome",
    "A model that is conditioned on an outcome finds more targets with this "
    "outcome, and fewer of the others (paper: +1.4 to +6.2 % on the diagonal).",
    arms,
    metrics,
    tuple(tests),
    plot="matrix",
  )
