"""Typed reports of a run, and their flat figures for report.json."""

import dataclasses
import pathlib
from typing import NamedTuple, Protocol, runtime_checkable

from pinrec_jax.data import repeats as repeats_lib
from pinrec_jax.data import row_errors as row_errors_lib
from pinrec_jax.data import statistics as statistics_lib
from pinrec_jax.types import Number, UserSums

Figures = dict[str, Number | str]
# Prefix of a model's figures in report.json. The run's own have none.
PREFIXES = {
  "PinRec-UC": "uc_",
  "oracle time": "oracle_time_",
  "popularity": "popularity_",
  "recent popularity": "recent_popularity_",
  "last items": "last_items_",
  "co-occurrence": "co_occurrence_",
}


@runtime_checkable
class Report(Protocol):
  """The result of a workflow."""

  def figures(self) -> Figures:
    """Returns flat figures."""
    ...


@dataclasses.dataclass(frozen=True)
class PrepareReport:
  """A prepared log.

  Attributes:
    statistics: counts, and the distributions of lengths, gaps and sessions.
    repeats: how often users engage again with the same items.
    row_errors: rows that were left out, and the reasons.
    folder: of the prepared log.
  """

  statistics: statistics_lib.LogStatistics
  repeats: repeats_lib.Repeats
  row_errors: row_errors_lib.RowErrors
  folder: pathlib.Path

  def figures(self) -> Figures:
    """Returns flat figures."""
    found: Figures = {
      **self.statistics.figures,
      **self.repeats.figures,
      "filter_seen": self.repeats.filter_seen,
      **self.row_errors.figures,
    }
    return {f"data/{key}": value for key, value in found.items()}


class Progress(NamedTuple):
  """How far a run was trained.

  Attributes:
    best_step: step with the best validation, which is used; without
      validations, the last step.
    last_step: step at which the training ended.
    stale: validations in a row, up to the last step, without a new best.
  """

  best_step: int
  last_step: int
  stale: int


@dataclasses.dataclass(frozen=True)
class TrainReport:
  """A training.

  Attributes:
    parameters: number of trained numbers.
    filled: fraction of the positions of a batch that hold an event.
    inherited_step: step of the run whose weights were taken, if any.
    filter_seen: items that validation, evaluation and serving leave out, as
      in `config.Index.filter_seen`, and never "auto".
    best_step: as in `Progress`.
    last_step: as in `Progress`.
    train_seconds: time of all steps but the first of this call, without
      validations; 0 if the run was finished before.
    train_tokens_per_s: tokens trained in a second of that time.
  """

  parameters: int
  filled: float
  inherited_step: int | None
  filter_seen: str
  best_step: int
  last_step: int
  train_seconds: float
  train_tokens_per_s: float

  def figures(self) -> Figures:
    """Returns flat figures, without speed if nothing was trained."""
    found = _present(self)
    if not self.train_seconds:
      del found["train_seconds"], found["train_tokens_per_s"]
    return found


@dataclasses.dataclass(frozen=True)
class IndexReport:
  """A bundle that was written.

  Attributes:
    bundle: version of the bundle.
    index: kind of the index, as `index.kind`.
    index_items: number of candidates.
    index_seconds: time to embed, index and write all items.
    recall: recall@100 of the index against exact search; None if it is exact.
  """

  bundle: str
  index: str
  index_items: int
  index_seconds: float
  recall: float | None

  def figures(self) -> Figures:
    """Returns flat figures."""
    found = _present(self)
    if self.recall is not None:
      found[f"{self.index}_recall@100"] = found.pop("recall")
    return found


@dataclasses.dataclass(frozen=True)
class ExportReport:
  """A program and item vectors that were written for other software.

  Attributes:
    bundle: version of the bundle.
    jax: version of JAX that wrote the program.
    readable_until: date up to which JAX promises to read it.
    items: number of item vectors.
    folder: of the files.
  """

  bundle: str
  jax: str
  readable_until: str
  items: int
  folder: pathlib.Path

  def figures(self) -> Figures:
    """Returns flat figures."""
    found = _present(self)
    found.pop("folder")
    return found


@dataclasses.dataclass(frozen=True)
class Example:
  """The lists of one user, with the items' own ids.

  Attributes:
    user: the user's id.
    engagements: number of engagements before the test period.
    history: items of the last engagements before the test period.
    targets: items of the first engagements in the test period.
    lists: the first candidates, of the default budget and by the outcome that
      gets the whole budget.
  """

  user: str
  engagements: int
  history: list
  targets: list
  lists: dict[str, list]


@dataclasses.dataclass(frozen=True)
class EvaluateReport:
  """Figures on the test users.

  Attributes:
    models: figures of each model by its name; the run's own come first and
      those of the baselines last.
    sweep: one row of figures per budget; empty without a sweep.
    steering: how well the lists of the sweep follow the budget.
    users: number of test users.
    targets: number of targets.
    outcome_targets: number of targets with each outcome.
    group_targets: number of targets in each group of items.
    short_list: the user with the fewest items left to recommend and their
      number, if a list is shorter than the largest cutoff.
    examples: the lists of a few users.
    filter_seen: as in `TrainReport`.
    beats_baselines: whether the run finds more targets than every baseline.
    verdict: a sentence on that, with likely reasons if it does not.
    user_ids: the test users. Neither they nor their sums are in `figures`.
    user_sums: what each test user adds to the run's own figures, by name, for
      figures that are ratios of two sums over users.
  """

  models: dict[str, dict[str, Number]]
  sweep: list[dict[str, Number]]
  users: int
  targets: int
  group_targets: dict[str, int]
  short_list: tuple[str, int] | None = None
  examples: list[Example] = dataclasses.field(default_factory=list)
  outcome_targets: dict[str, int] = dataclasses.field(default_factory=dict)
  filter_seen: str = ""
  beats_baselines: bool = False
  verdict: str = ""
  steering: dict[str, Number] = dataclasses.field(default_factory=dict)
  user_ids: list[str] = dataclasses.field(default_factory=list)
  user_sums: dict[str, UserSums] = dataclasses.field(default_factory=dict)

  def figures(self) -> Figures:
    """Returns flat figures."""
    found: Figures = {}
    for place, (name, own) in enumerate(self.models.items()):
      prefix = PREFIXES[name] if place else ""
      found |= {f"{prefix}{key}": value for key, value in own.items()}
    for number, row in enumerate(self.sweep):
      found |= {f"sweep/{number}/{key}": value for key, value in row.items()}
    found |= {f"sweep/{key}": value for key, value in self.steering.items()}
    found |= {"test_users": self.users, "test_targets": self.targets}
    found |= {
      f"test_targets/{name}": count
      for name, count in self.outcome_targets.items()
    }
    found |= {
      f"test_targets/{name}_items": count
      for name, count in self.group_targets.items()
    }
    return found | {
      "filter_seen": self.filter_seen,
      "beats_baselines": self.beats_baselines,
      "verdict": self.verdict,
    }


@dataclasses.dataclass(frozen=True)
class UpdateReport:
  """A daily update.

  Attributes:
    day: the line of this day in days.jsonl; empty if nothing was new.
    days: the lines of all days, this one included.
    repeated: files that were left out because their content was read before.
  """

  day: Figures
  days: list[Figures]
  repeated: list[str]

  def figures(self) -> Figures:
    """Returns flat figures."""
    return {**self.day, "days": len(self.days), "repeated": len(self.repeated)}


@dataclasses.dataclass(frozen=True)
class DemoReport:
  """A demo.

  Attributes:
    train: training of the model.
    twin: training of the unconditioned twin, if there is one.
    index: the bundle of the model.
    evaluate: figures on the test users.
    seconds: time of all of it.
  """

  train: TrainReport
  twin: TrainReport | None
  index: IndexReport
  evaluate: EvaluateReport
  seconds: float

  def figures(self) -> Figures:
    """Returns flat figures."""
    parts = (self.train, self.index, self.evaluate)
    found = {k: v for part in parts for k, v in part.figures().items()}
    return {**found, "seconds": self.seconds}


def _present(report: TrainReport | IndexReport | ExportReport) -> Figures:
  """Returns the attributes of a report that are not None."""
  found = dataclasses.asdict(report)
  return {key: value for key, value in found.items() if value is not None}
