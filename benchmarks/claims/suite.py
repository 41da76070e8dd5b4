"""Claims of the paper as rows: arms to train, and tests between two arms."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pinrec_jax import config as config_lib
from pinrec_jax import validation

# Values of configuration fields by path, such as {"model.dropout": 0.1}.
Fields = Mapping[str, Any]
# Sections and fields that may differ between training and evaluation. The two
# fields of the data select the targets.
FREE = (
  "decode",
  "index",
  "evals",
  "data.target_surface",
  "data.target_outcomes",
)
# Fields that say where a run takes place. They change no figure.
PLACES = (
  "data.prepared_dir",
  "data.source",
  "data.num_workers",
  "train.profile_steps",
)


@dataclasses.dataclass(frozen=True)
class Arm:
  """A model and its evaluation.

  Attributes:
    train: fields in which the training differs from the suite's base.
    evaluate: further fields in which the evaluation differs; see FREE.
    init_from: the arm whose trained weights this arm starts from.
    cold_fraction: fraction of the catalog that training never sees.
    unseen_users: whether training leaves out the users of `unseen_users`.
  """

  train: Fields = dataclasses.field(default_factory=dict)
  evaluate: Fields = dataclasses.field(default_factory=dict)
  init_from: "Arm | None" = None
  cold_fraction: float = 0.0
  unseen_users: bool = False


@dataclasses.dataclass(frozen=True)
class Test:
  """A comparison of one arm with another.

  Attributes:
    arm: name of the arm that the paper proposes.
    baseline: name of the arm it is compared with.
    metric: a key of the evaluation's figures.
    paper: relative change that the paper reports, 0.028 for +2.8 %; None if the
      paper gives no number.
    decrease: whether the paper reports a decrease.
    ours: whether the paper does not make this comparison.
  """

  arm: str
  baseline: str
  metric: str
  paper: float | None = None
  decrease: bool = False
  ours: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
  """One claim of the paper.

  Attributes:
    title: of the plot.
    claim: the claim in words.
    arms: arms by name.
    metrics: figures to show.
    tests: comparisons that decide whether the claim is reproduced.
    plot: kind of the plot; see `report.PLOTS`.
  """

  title: str
  claim: str
  arms: Mapping[str, Arm]
  metrics: tuple[str, ...]
  tests: tuple[Test, ...]
  plot: str = "arms"


@dataclasses.dataclass
class Suite:
  """Claims on one log.

  Attributes:
    base: configuration that all arms start from.
    rows: claims by name.
    seeds: number of seeds, from 0.
  """

  base: config_lib.Config
  rows: dict[str, Row]
  seeds: int = 3


@dataclasses.dataclass
class Model:
  """One model of a suite, which several arms may share.

  Attributes:
    name: row and arm that need it first.
    config: configuration of its training.
    init_from: key of the model it starts from; empty for new weights.
    cold_fraction: fraction of the catalog that training never sees.
    unseen_users: as in `Arm`.
    evaluations: configurations of its evaluations, by key.
  """

  name: str
  config: config_lib.Config
  init_from: str
  cold_fraction: float
  unseen_users: bool
  evaluations: dict[str, config_lib.Config]


def models(suite: Suite) -> dict[str, Model]:
  """Returns every model that the rows need, once each, by key.

  A model comes after the model it starts from.

  Raises:
    ValueError: on an unknown field, an invalid configuration, or a test of an
      arm that its row does not have.
  """
  if suite.seeds < 1:
    raise ValueError(f"--seeds is {suite.seeds}; use 1 or more")
  found: dict[str, Model] = {}
  for name, row in suite.rows.items():
    for test in row.tests:
      missing = {test.arm, test.baseline} - set(row.arms)
      if missing:
        raise ValueError(
          f"row {name!r} tests the arm {min(missing)!r}, which it does not "
          f"have; use one of {', '.join(row.arms)}"
        )
    for arm_name, arm in row.arms.items():
      where = f"row {name!r}, arm {arm_name!r}"
      model = found[_add(found, suite.base, arm, where)]
      config = evaluated(suite.base, arm, where)
      model.evaluations[key(config)] = config
  return found


def _add(
  found: dict[str, Model], base: config_lib.Config, arm: Arm, where: str
) -> str:
  """Adds the model of an arm, after the one it starts from; returns its key."""
  first = _add(found, base, arm.init_from, where) if arm.init_from else ""
  config = configured(base, arm.train, where)
  own = model_key(base, arm)
  found.setdefault(
    own,
    Model(where, config, first, arm.cold_fraction, arm.unseen_users, {}),
  )
  return own


def model_key(base: config_lib.Config, arm: Arm) -> str:
  """Returns the key of an arm's model, which names its folder."""
  more = []
  if arm.init_from:
    more.append(model_key(base, arm.init_from))
  if arm.cold_fraction:
    more.append(f"cold {arm.cold_fraction}")
  if arm.unseen_users:
    more.append("unseen users")
  return key(configured(base, arm.train, ""), *more)


def evaluated(
  base: config_lib.Config, arm: Arm, where: str = ""
) -> config_lib.Config:
  """Returns the configuration of an arm's evaluation.

  Raises:
    ValueError: if it changes a field that training fixes.
  """
  for path in arm.evaluate:
    if not {path, path.partition(".")[0]} & set(FREE):
      raise ValueError(
        f"{where} evaluates with another {path}, which training fixes; set it "
        f"in Arm.train, or change one of {', '.join(FREE)}"
      )
  return configured(base, {**arm.train, **arm.evaluate}, where)


def configured(
  base: config_lib.Config, fields: Fields, where: str
) -> config_lib.Config:
  """Returns a copy of a configuration with some fields changed, and checked.

  Raises:
    ValueError: naming `where`, the field, the value and the remedy.
  """
  try:
    config = config_lib.replace(base, **fields)
    validation.validate(config)
  except (AttributeError, ValueError) as error:
    raise ValueError(f"{where}: {error}") from error
  return config


def key(config: config_lib.Config, *more: str) -> str:
  """Returns a digest of the fields that differ from their defaults.

  So a new field of the package does not invalidate finished runs.
  """
  default = dict(_flat(config_lib.Config()))
  changed = {
    path: value
    for path, value in _flat(config)
    if value != default[path] and path not in PLACES
  }
  text = json.dumps([changed, *more], sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:10]


def _flat(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
  """Yields the path and the value of every field."""
  for field in dataclasses.fields(section):
    value = getattr(section, field.name)
    if dataclasses.is_dataclass(value):
      yield from _flat(value, f"{prefix}{field.name}.")
    else:
      yield f"{prefix}{field.name}", value
