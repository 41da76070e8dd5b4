"""Whether a run beats the baselines, and the likely reasons if it does not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pinrec_jax import config as config_lib
from pinrec_jax import reports
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, statistics
from pinrec_jax.evals import baselines, evaluate

WORTH_NAMING = 0.05  # Fraction of the targets from which on a reason is named.
FEW_PASSES = 10  # Over the log; training on fewer may be too short.


class Verdict(NamedTuple):
  """A run beside the baselines.

  Attributes:
    beats: whether it finds more targets than every baseline.
    sentence: that in words, with the likely reasons if it does not.
  """

  beats: bool
  sentence: str


def verdict(
  models: Mapping[str, evaluate.Figures],
  k: int,
  reasons: Sequence[str],
) -> Verdict:
  """Compares the recall@k of the first model with that of the baselines.

  If it equals that of the best baseline, ndcg@k decides.

  Args:
    models: figures of each model by its name; the run's own come first.
    k: length of the lists.
    reasons: why the run may find too little.
  """
  (name, own), *_ = models.items()
  others = [other for other in baselines.NAMES if other in models]
  key, ndcg = f"recall@{k}", f"ndcg@{k}"
  best = max(others, key=lambda n: (models[n][key], models[n][ndcg]))
  other = models[best]
  beats = (own[key], own[ndcg]) > (other[key], other[ndcg])
  parts = [f"{_recall(own, key)}, and {best} {_recall(other, key)}"]
  if own[key] == other[key]:
    parts.append(f"its {ndcg} is {own[ndcg]:.4f}, and {other[ndcg]:.4f}")
  elif beats and own[f"{key}:low"] <= other[f"{key}:high"]:
    parts.append("the 95 % intervals overlap")
  if not beats:
    parts.append(f"likely reasons: {'; '.join(reasons) or 'none was measured'}")
  head = "beats all baselines" if beats else f"does not beat {best}"
  return Verdict(beats, f"{name} {head}: it has {'; '.join(parts)}")


def _recall(figures: evaluate.Figures, key: str) -> str:
  """Returns a recall with its interval and its hits."""
  low, high = (figures[f"{key}:{end}"] for end in ("low", "high"))
  return (
    f"a {key} of {figures[key]:.4f} (95 % interval {low:.4f} to {high:.4f}, "
    f"{figures[f'{key}:hits']} hits)"
  )


def reasons(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
  progress: reports.Progress,
) -> Iterator[str]:
  """Yields what the run's own figures say about a low recall.

  Args:
    config: of the run.
    dataset: the log.
    cases: the users whose targets count.
    progress: how far the run was trained.
  """
  yield from unreachable(config, dataset, cases)
  train = config.train
  tokens = statistics.training_engagements(dataset) + len(dataset.users)
  rows = progress.last_step * train.batch_size
  passes = rows * config.data.sequence_length / tokens
  if passes < FEW_PASSES:
    yield (
      f"training read the log at most {passes:.1f} times (train.steps is "
      f"{train.steps}, train.batch_size {train.batch_size})"
    )
  validated = not train.train_on_validation
  if validated and not progress.stale:
    yield (
      f"validation was still rising at the last step, {progress.last_step}; "
      "increase train.steps"
    )


def unreachable(
  config: config_lib.Config,
  dataset: dataset_lib.Dataset,
  cases: Sequence[evaluation_cases.Case],
) -> Iterator[str]:
  """Yields how many targets no list can have, or no training can know."""
  kind = config.index.filter_seen
  repeated = np.concatenate(
    [np.isin(case.targets.item, case.past.seen(kind)) for case in cases]
  ).mean()
  if repeated >= WORTH_NAMING:
    yield (
      f"{repeated:.1%} of the targets are items that index.filter_seen="
      f"{kind} leaves out of the list"
    )
  split = evaluation_cases.after_training(
    train_on_validation=config.train.train_on_validation
  )
  targets = np.concatenate([case.targets.item for case in cases])
  new = statistics.cold_items(dataset, split)[targets].mean()
  if new >= WORTH_NAMING:
    yield (
      f"{new:.1%} of the targets are items without an engagement in training"
    )
