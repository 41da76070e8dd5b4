"""Which part of a history the vectors answer to.

  bash launch/local.sh --mode=reproduce --workdir=runs/claims \
    --config=configs/claims/recency.py:mini

Its models are those of multi_token.py.

Two models a seed, on one core of a shared x86-64 machine in 3 minutes on mini,
3 on synthetic, 13 on pure and 48 on ml_1m.

Expect of three seeds:

* recency of MT, 1 steps of 16, over OC, 16 steps of 1 (the paper's: a loss):
  synthetic +11.0 ± 1.6 % ✗; mini +11.2 ± 5.1 % ≈; pure +10.7 ± 2.9 % ✗; ml_1m
  −4.5 ± 1.8 % ≈
* recency of MT, farthest ahead, over MT, nearest ahead (the paper's: a loss):
  synthetic −8.5 ± 1.4 % ✓; mini +1.9 ± 0.6 % ✗; pure +0.0 ± 0.5 % ≈; ml_1m
  −41.8 ± 1.2 % ✓

docs/claims.md tells why, docs/claims/ every arm.
"""

import pathlib
import runpy

from pinrec_jax.claims import suite

HERE = pathlib.Path(__file__).parent
SUITE = HERE.parent / "claims.py"
MULTI_TOKEN = runpy.run_path(str(HERE / "multi_token.py"))


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  times = MULTI_TOKEN["ahead"](log)
  one, every, arms = MULTI_TOKEN["arms"](log)
  nearest, farthest = "MT, nearest ahead", "MT, farthest ahead"
  for name, seconds in ((nearest, times[0]), (farthest, times[-1])):
    ask = {"decode.budget": "unspecified:1", "decode.offsets": (seconds,)}
    arms[name] = suite.Arm(arms[every].train, ask)
  return suite.Row(
    "Vectors for several times ahead answer to older interests too; one after "
    "the other they follow the latest (the paper tells it without a number). "
    "Recency is the place in the history, from 0 for the oldest event to 1 for "
    "the latest, of what is nearest to a vector.",
    arms,
    ("recency",),
    (
      suite.Test(every, one, "recency", loss=True),
      suite.Test(farthest, nearest, "recency", loss=True),
    ),
  )


def get_config(log: str = "mini") -> suite.Suite:
  """Returns the row on one log."""
  return runpy.run_path(str(SUITE))["get_config"](f"{log}/recency")
