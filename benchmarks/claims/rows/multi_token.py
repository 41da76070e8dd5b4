"""Several vectors a step instead of one.

  bash launch/local.sh --mode=reproduce --workdir=runs/claims \
    --config=configs/claims/multi_token.py:mini

Sixteen vectors in all: sixteen steps of one, eight of two, and so on to one
step of sixteen, for the next event whenever it comes and fifteen times ahead.

Two models a seed, on one core of a shared x86-64 machine in 3 minutes on mini,
3 on synthetic, 13 on pure and 48 on ml_1m.

Expect of three seeds:

* unordered_recall@10 of MT, 1 steps of 16, over OC, 16 steps of 1 (the paper's:
  +16.0 %): synthetic −11.6 ± 3.9 % ✗; mini +12.3 ± 4.9 % ✓; pure −6.3 ± 3.6 %
  ≈; ml_1m +3.9 ± 1.6 % ≈
* diversity of MT, 1 steps of 16, over OC, 16 steps of 1 (the paper's: +21.3 %):
  synthetic −37.5 ± 10.2 % ✗; mini +1.6 ± 10.4 % ≈; pure −4.5 ± 3.5 % ≈; ml_1m
  −13.0 ± 0.7 % ✗

docs/claims.md tells why, docs/claims/ every arm.
"""

import pathlib
import runpy

from pinrec_jax.claims import suite

SUITE = pathlib.Path(__file__).parent.parent / "claims.py"
# The next event, whenever it comes, and fifteen times ahead in equal ratios,
# from five minutes to eight days.
AHEAD = (-1, *(round(300 * 2304 ** (n / 14)) for n in range(15)))
# Most of MovieLens' ratings follow within half a minute of the one before: from
# five seconds to two days.
SOONER = {
  "ml_1m": (-1, *(round(5 * 34_560 ** (n / 14)) for n in range(15))),
}
# Half of what several times ahead learn from is the next event.
LONGER = {"synthetic": {"train.steps": 1500, "train.eval_every": 500}}


def ahead(log: str) -> tuple[int, ...]:
  """Returns the times ahead in seconds; -1 is whenever the next event comes."""
  return SOONER.get(log, AHEAD)


def arms(log: str) -> tuple[str, str, dict[str, suite.Arm]]:
  """Returns OC's arm, that of a vector for every time, and all of them."""
  times = ahead(log)
  # A time ahead may mean another part of the history to each state, so that
  # states and items need not be alike.
  single = {"model.head": "mlp", **LONGER.get(log, {})}
  # Nearer than the first edge is a range of its own.
  edges = tuple(seconds for seconds in times if seconds > 0)
  several = {
    **single, "loss.objective": "multi_token", "model.offset_edges": edges
  }  # fmt: skip
  any_outcome = {"decode.budget": "unspecified:1"}
  number = len(times)
  one, every = f"OC, {number} steps of 1", f"MT, 1 steps of {number}"
  found = {one: suite.Arm(single, {**any_outcome, "decode.steps": number})}
  for vectors in (1, 2, 4, 8, 16):
    steps = number // vectors
    ask = {**any_outcome, "decode.steps": steps}
    ask["decode.offsets"] = times[::steps]
    found[f"MT, {steps} steps of {vectors}"] = suite.Arm(several, ask)
  return one, every, found


def row(log: str, outcomes: tuple[str, ...]) -> suite.Row:
  """Returns the claim, its arms and its tests."""
  one, every, found = arms(log)
  return suite.Row(
    "At equal vectors, several a step for several times ahead find more, and "
    "more different items, than one a step (paper: +16.0 % recall and +21.3 % "
    "diversity at 16 a step). What they cost is in benchmarks/decoding.py.",
    found,
    ("unordered_recall@10", "recall@10", "diversity"),
    (
      suite.Test(every, one, "unordered_recall@10", 0.16),
      suite.Test(every, one, "diversity", 0.213),
    ),
  )


def get_config(log: str = "mini") -> suite.Suite:
  """Returns the row on one log."""
  return runpy.run_path(str(SUITE))["get_config"](f"{log}/multi_token")
