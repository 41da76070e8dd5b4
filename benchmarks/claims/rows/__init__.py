"""The claims of the paper, one module each."""

import dataclasses
import importlib
import operator
from collections.abc import Sequence

import logs
import suite

from pinrec_jax import config as config_lib

ROWS = (
  "oc_over_uc",
  "conditioning",
  "budget",
  "multi_token",
  "steps",
  "merging",
  "hashed_ids",
  "negatives",
  "logq",
  "scaling",
  "family",
  "hstu",
  "relaxation",
  "reductions",
  "cold",
  "unseen_users",
  "impressions",
  "finetune",
  "recency",
)
# Rows that a log cannot show. The synthetic world has no content features and
# no cold items. It and MovieLens have one surface. MovieLens has no
# impressions.
ABSENT = {
  "synthetic": ("hashed_ids", "cold", "finetune"),
  "ml_1m": ("impressions", "finetune"),
}
# Rows of many models, which are trained as briefly as configs/family.py trains.
SHORTER = {"ml_1m": ("negatives", "logq", "scaling", "family", "hstu", "cold")}


def on_log(log: str) -> list[str]:
  """Returns the names of the rows that a log can show."""
  return [name for name in ROWS if name not in ABSENT.get(log, ())]


def suite_of(
  log: str,
  base: config_lib.Config,
  names: Sequence[str] = (),
  seeds: int = 3,
) -> suite.Suite:
  """Returns the suite of a log.

  Args:
    log: one of `logs.LOGS`.
    base: configuration of the log.
    names: rows to run; by default all that the log can show.
    seeds: number of seeds.

  Raises:
    ValueError: naming a row that is unknown on this log.
  """
  known = on_log(log)
  for name in names:
    if name not in known:
      raise ValueError(f"row {name!r} is unknown on {log}; choose from {known}")
  return suite.Suite(base, {n: _row(log, n) for n in names or known}, seeds)


def _row(log: str, name: str) -> suite.Row:
  module = importlib.import_module(f"rows.{name}")
  row: suite.Row = module.row(log, logs.OUTCOMES[log])
  if name not in SHORTER.get(log, ()):
    return row
  family = logs.FAMILY["get_config"](f"{log}/oc")
  shorter = {path: operator.attrgetter(path)(family) for path in logs.LONGER}
  arms = {
    arm: dataclasses.replace(one, train={**shorter, **one.train})
    for arm, one in row.arms.items()
  }
  return dataclasses.replace(row, arms=arms)
