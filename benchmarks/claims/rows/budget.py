"""The budget as a remote control.

  bash launch/local.sh --mode=reproduce --workdir=runs/claims \
    --config=configs/claims/budget.py:mini

The budget of one model goes from the log's first outcome to its third, a
quarter at a time. The plot is the Pareto curve of the two.

One model a seed, on one core of a shared x86-64 machine in 1 minute on mini, 1
on synthetic, 6 on pure and 24 on ml_1m.

Expect of three seeds:

* recall@10 of the outcome the whole budget went to, over that without any (the
  paper's: a gain): synthetic +421 ± 22.7 % ✓; mini +13.3 ± 12.6 % ≈; pure +12.3
  ± 4.1 % ✓; ml_1m +43.4 ± 3.4 % ✓
* ... and of the outcome it went from (the paper's: a loss): synthetic −52.4 ±
  3.5 % ✓; mini −38.2 ± 4.5 % ✓; pure −29.7 ± 0.8 % ✓; ml_1m −18.8 ± 0.5 % ✓

docs/claims.md tells why, docs/claims/ every arm.
"""

import pathlib
import runpy

from pinrec_jax.claims import suite

SUITE = pathlib.Path(__file__).parent.parent / "claims.py"


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  one, *_, other = outcomes[:3]  # the others are too rare
  arms = {
    f"{100 - share} % {one}": suite.Arm(
      ask={
        "decode.budget": f"{one}:{1 - share / 100},{other}:{share / 100}",
      }
    )
    for share in (0, 25, 50, 75, 100)
  }
  first, last = f"100 % {one}", f"0 % {one}"
  return suite.Row(
    f"Turning the budget from {one} to {other} raises what is found of "
    f"{other} and lowers what is found of {one}.",
    arms,
    (f"recall@10/{one}", f"recall@10/{other}"),
    (
      suite.Test(last, first, f"recall@10/{other}"),
      suite.Test(last, first, f"recall@10/{one}", loss=True),
    ),
    plot="curve",
  )


def get_config(log: str = "mini") -> suite.Suite:
  """Returns the row on one log."""
  return runpy.run_path(str(SUITE))["get_config"](f"{log}/budget")
