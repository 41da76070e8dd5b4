"""The paper's claims on public logs, a file of configs/claims a claim.

  bash launch/local.sh --mode=reproduce --workdir=runs/claims \
    --config=configs/claims.py:synthetic

  bash launch/local.sh --mode=reproduce --workdir=runs/claims-pure \
    --config=configs/claims.py:pure/conditioning,budget \
    --config.base.data.source=FOLDER --config.seeds=3

LOG or LOG/ROW,ROW follows the colon. LOG is mini (the embedded excerpt, the
default), synthetic, pure or ml_1m; ROW one of ROWS below, each of them a file
that says what to expect of it; configs/claims/ROW.py:LOG is the same as
configs/claims.py:LOG/ROW. Models that rows share are trained once; a run may be
stopped and goes on where it was.

On one core of a shared x86-64 machine a model takes 1 to 2 minutes on mini and
synthetic, 4 to 8 on pure, and on ml_1m 15 to 35, or 5 to 10 in the rows
that SHORTER names (13 the deepest).

No row shows a model the action or the time of its target.
"""

import dataclasses
import operator
import pathlib
import runpy

from pinrec_jax import config as config_lib
from pinrec_jax.claims import suite
from pinrec_jax.data import kuairand, movielens, synthetic

HERE = pathlib.Path(__file__).parent
FAMILY = runpy.run_path(str(HERE / "family.py"))
# Until MovieLens' validation recall is flat, which the family's five epochs are
# not yet.
LONGER = {
  "loss.full_softmax": True,
  "train.steps": 5000,
  "train.batch_size": 16,
  "train.learning_rate": 1e-3,
  "train.train_on_validation": False,
}
LOGS = {
  **FAMILY["LOGS"],
  # As in configs/kuairand_pure.py.
  "pure": {
    **FAMILY["LOGS"]["pure"],
    "loss.full_softmax": True,
    "model.head": "state",
    "model.embedding_dim": 64,
  },
  "ml_1m": {**FAMILY["LOGS"]["ml_1m"], **LONGER},
  # No outcome is asked for but where a row does.
  "synthetic": {"decode.budget": "unspecified:1"},
}
OUTCOMES = {
  "mini": kuairand.OUTCOMES,
  "pure": kuairand.OUTCOMES,
  "ml_1m": movielens.OUTCOMES,
  "synthetic": synthetic.OUTCOMES,
}
ROWS = (
  "oc_over_uc",
  "conditioning",
  "budget",
  "multi_token",
  "steps",
  "hashed_ids",
  "negatives",
  "logq",
  "scaling",
  "family",
  "cold",
  "impressions",
  "finetune",
  "recency",
)
# Rows of many models, which are trained as the family is.
SHORTER = {"ml_1m": ("negatives", "logq", "scaling", "family", "cold")}
# Nothing is new in the made-up world, and its items have no content; it and
# MovieLens have one surface.
NOT_THERE = {
  "synthetic": ("hashed_ids", "cold", "finetune"),
  "ml_1m": ("impressions", "finetune"),
}


def _row(log: str, name: str) -> suite.Row:
  module = runpy.run_path(str(HERE / "claims" / f"{name}.py"))
  row: suite.Row = module["row"](log, OUTCOMES[log])
  if name not in SHORTER.get(log, ()):
    return row
  family = FAMILY["get_config"](f"{log}/oc")
  training = {path: operator.attrgetter(path)(family) for path in LONGER}
  arms = {
    arm: dataclasses.replace(one, train={**training, **one.train})
    for arm, one in row.arms.items()
  }
  return dataclasses.replace(row, arms=arms)


def get_config(name: str = "mini") -> suite.Suite:
  """Returns the rows of one log, or some of them."""
  log, _, some = name.partition("/")
  if log not in LOGS:
    raise ValueError(f"log {log!r} is unknown; choose from {list(LOGS)}")
  known = [n for n in ROWS if n not in NOT_THERE.get(log, ())]
  wanted = some.split(",") if some else known
  for row in wanted:
    if row not in known:
      raise ValueError(f"row {row!r} is unknown on {log}; choose from {known}")
  base = config_lib.Config()
  if log == "synthetic":
    base = runpy.run_path(str(HERE / "synthetic.py"))["get_config"]()
  base.evals.twin, base.evals.sweep = False, ()
  base.index.kind = "exact"
  fields = {**LOGS[log], "evals.cutoffs": (10, 100)}
  base = suite.configured(base, fields, log)
  rows = {n: _row(log, n) for n in wanted}
  return suite.Suite(base, rows)
