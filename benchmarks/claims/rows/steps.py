"""Vectors fed back, one to sixteen times.

  bash launch/local.sh --mode=reproduce --workdir=runs/claims \
    --config=configs/claims/steps.py:mini

One model, asked for no outcome; every vector is read as the next event.

One model a seed, on one core of a shared x86-64 machine in 1 minute on mini, 1
on synthetic, 6 on pure and 24 on ml_1m.

Expect of three seeds:

* unordered_recall@10 of 16 steps, over 1 steps (the paper's: +71.4 %):
  synthetic +14.5 ± 3.5 % ○; mini +39.7 ± 4.8 % ✓; pure +35.1 ± 4.1 % ○; ml_1m
  +27.2 ± 0.5 % ○

docs/claims.md tells why, docs/claims/ every arm.
"""

import pathlib
import runpy

from pinrec_jax.claims import suite

SUITE = pathlib.Path(__file__).parent.parent / "claims.py"


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  one = {"decode.budget": "unspecified:1"}
  arms = {
    f"{steps} steps": suite.Arm(ask={**one, "decode.steps": steps})
    for steps in (1, 2, 4, 8, 16)
  }
  return suite.Row(
    "More steps find more (paper: up to +71.4 % of unordered recall from 1 to "
    "16 steps).",
    arms,
    ("unordered_recall@10", "recall@10", "diversity"),
    (suite.Test("16 steps", "1 steps", "unordered_recall@10", 0.714),),
  )


def get_config(log: str = "mini") -> suite.Suite:
  """Returns the row on one log."""
  return runpy.run_path(str(SUITE))["get_config"](f"{log}/steps")
