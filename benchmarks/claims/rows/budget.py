"""The budget moves recall from one outcome to another.

  python benchmarks/claims/reproduce.py --log=mini --rows=budget \
    --workdir=runs/claims

One model is evaluated with five budgets, from the log's first outcome to its
third. The plot is the Pareto curve of the two.

One model per seed. On one core of a shared x86-64 machine it takes 1 minute on
mini and synthetic, 6 on pure and 24 on ml_1m.

Expect with three seeds:

* recall@10 of the last outcome: 100 % vs. 0 % of the budget (paper: increase):
  synthetic +421 ± 22.7 % ✓; mini +13.3 ± 12.6 % ≈; pure +17.9 % (−0.4 to +39.5)
  ≈; ml_1m +43.4 ± 3.4 % ✓
* recall@10 of the first outcome: 0 % vs. 100 % of the budget (paper: decrease):
  synthetic −52.4 ± 3.5 % ✓; mini −38.2 ± 4.5 % ✓; pure −30.7 % (−33.3 to −28.0)
  ✓; ml_1m −18.8 ± 0.5 % ✓
"""

import suite


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  one, *_, other = outcomes[:3]  # All further outcomes are too rare.
  arms = {
    f"{100 - share} % {one}": suite.Arm(
      evaluate={
        "decode.budget": f"{one}:{1 - share / 100},{other}:{share / 100}",
      }
    )
    for share in (0, 25, 50, 75, 100)
  }
  first, last = f"100 % {one}", f"0 % {one}"
  return suite.Row(
    f"Budget moved from {one} to {other}",
    f"Moving the budget from {one} to {other} raises recall of {other} and "
    f"lowers recall of {one}.",
    arms,
    (f"recall@10/{one}", f"recall@10/{other}"),
    (
      suite.Test(last, first, f"recall@10/{other}"),
      suite.Test(last, first, f"recall@10/{one}", decrease=True),
    ),
    plot="curve",
  )
