"""What is claimed, and the runs that put it to the test."""

import copy
import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pinrec_jax import config as config_lib
from pinrec_jax import rules

Fields = Mapping[
  str, Any
]  # by path in a run's configuration: "loss.uniform_negatives"
# Sections and fields a trained model does not fix. The data's say on which
# targets it is measured.
ASKED = (
  "decode",
  "index",
  "evals",
  "data.target_surface",
  "data.target_outcomes",
)


@dataclasses.dataclass(frozen=True)
class Arm:
  """A model, and what is asked of it."""

  train: Fields = dataclasses.field(default_factory=dict)
  ask: Fields = dataclasses.field(default_factory=dict)  # of ASKED alone
  after: "Arm | None" = None  # whose weights it begins with


@dataclasses.dataclass(frozen=True)
class Test:
  """That one arm retrieves more, or less, than another."""

  arm: str
  over: str
  metric: str  # a key of the report of `evals.run.evaluate`
  # How much the paper tells, 0.028 for 2.8 %; None if it tells no number.
  paper: float | None = None
  loss: bool = False  # it tells that the figure falls


@dataclasses.dataclass(frozen=True)
class Row:
  """One claim of the paper."""

  claim: str  # in words
  arms: Mapping[str, Arm]
  metrics: tuple[str, ...]  # to show
  tests: tuple[Test, ...]
  plot: str = "line"  # as in report.DRAWN


@dataclasses.dataclass
class Suite:
  """Claims on one log; what `--mode=reproduce` runs."""

  base: config_lib.Config  # of every run, but for what an arm says
  rows: dict[str, Row]
  seeds: int = 3


@dataclasses.dataclass
class Training:
  """One model of a suite, and everything asked of it."""

  name: str  # of the row and the arm it was first met in
  config: config_lib.Config
  after: str  # the key of the model it begins with; empty: of none
  asked: dict[str, config_lib.Config]  # by key


def trainings(suite: Suite) -> dict[str, Training]:
  """Returns every model that the rows need, each once, in order.

  Raises:
    ValueError: on a field there is not, a configuration that cannot be, or a
      test of an arm or of a number that no row has.
  """
  if suite.seeds < 1:
    raise ValueError(f"config.seeds is {suite.seeds}; use 1 or more")
  found: dict[str, Training] = {}
  for name, row in suite.rows.items():
    for test in row.tests:
      missing = {test.arm, test.over} - set(row.arms)
      if missing:
        raise ValueError(
          f"row {name!r} tests the arm {sorted(missing)[0]!r}, which is not "
          f"one of its own: {', '.join(row.arms)}"
        )
    for arm_name, arm in row.arms.items():
      where = f"row {name!r}, arm {arm_name!r}"
      training = found[_train(found, suite.base, arm, where)]
      config = asked(suite.base, arm, where)
      training.asked[key(config)] = config
  return found


def _train(
  found: dict[str, Training], base: config_lib.Config, arm: Arm, where: str
) -> str:
  """Adds the model of an arm, after those it begins with; returns its key."""
  after = _train(found, base, arm.after, where) if arm.after else ""
  config = configured(base, arm.train, where)
  own = training_key(base, arm)
  found.setdefault(own, Training(where, config, after, {}))
  return own


def training_key(base: config_lib.Config, arm: Arm) -> str:
  """Names what an arm trains, the models it begins with included."""
  before = training_key(base, arm.after) if arm.after else ""
  return key(configured(base, arm.train, ""), before)


def asked(
  base: config_lib.Config, arm: Arm, where: str = ""
) -> config_lib.Config:
  """Returns the configuration an arm is evaluated with.

  Raises:
    ValueError: if it asks for what training fixes.
  """
  wrong = [
    path for path in arm.ask if not {path, path.partition(".")[0]} & set(ASKED)
  ]
  if wrong:
    raise ValueError(
      f"{where} asks for {wrong[0]}, which training fixes; put it in train, or "
      f"ask for one of {', '.join(ASKED)}"
    )
  return configured(base, {**arm.train, **arm.ask}, where)


def configured(
  base: config_lib.Config, fields: Fields, where: str
) -> config_lib.Config:
  """Returns a configuration with some fields set, once it is known to be valid.

  Raises:
    ValueError: naming `where`, the field, the value and the remedy.
  """
  config = copy.deepcopy(base)
  for path, value in fields.items():
    section, _, name = path.rpartition(".")
    try:
      part = functools.reduce(getattr, section.split("."), config)
      getattr(part, name)
    except AttributeError:
      raise ValueError(
        f"{where} sets {path}, which no configuration has; see "
        "pinrec_jax/config.py"
      ) from None
    setattr(part, name, value)
  try:
    rules.validate(config)
  except ValueError as error:
    raise ValueError(f"{where}: {error}") from error
  return config


def key(config: config_lib.Config, *more: str) -> str:
  """Names a configuration; where it is run, and how, does not count."""
  told = dataclasses.asdict(config)
  told["data"].pop("prepared")
  told["train"].pop("device")
  told["train"].pop("join_seconds")
  text = json.dumps([told, *more], sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:10]
