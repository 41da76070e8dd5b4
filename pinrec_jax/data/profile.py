"""Values of a configuration that follow the log."""

import functools
from typing import Any

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import repeats, statistics

# Fields that may follow the log, and the value that asks for it.
OPEN = {
  "index.filter_seen": "auto",
  "evals.sweep": ("*",),
  "model.hidden_dim": 0,
  "model.embedding_dim": 0,
  "model.table_size": 0,
  "train.batch_size": 0,
  "train.steps": 0,
  "train.eval_every": 0,
}
EPOCHS = 100  # Passes over the log in all steps; early stopping takes fewer.
VALIDATIONS = 20  # Of a run, if `train.eval_every` is 0.
MIN_STEPS, MAX_STEPS = 400, 20_000
MIN_TABLE, MAX_TABLE = 512, 1 << 20
# Width of the model and rows of a batch, by the engagements of training.
SIZES = ((20_000, 32, 16), (1_000_000, 64, 32), (float("inf"), 128, 64))


def value(config: config_lib.Config, path: str) -> Any:
  """Returns the value of a field, named "section.field"."""
  return functools.reduce(getattr, path.split("."), config)


def open_fields(config: config_lib.Config) -> list[str]:
  """Returns the fields of a configuration that follow the log."""
  return [path for path, left in OPEN.items() if value(config, path) == left]


def follow(
  config: config_lib.Config, dataset: dataset_lib.Dataset
) -> config_lib.Config:
  """Returns the configuration with all values that follow the log filled in.

  A configuration without such values is returned as it is.
  """
  left = open_fields(config)
  found: dict[str, Any] = {}
  if "index.filter_seen" in left:
    found["index.filter_seen"] = repeats.of_dataset(dataset).filter_seen
  if "evals.sweep" in left:
    names = dataset.vocabulary.outcome_names
    learned = statistics.outcome_fractions(dataset) > 0
    conditioned = config.model.conditioned
    found["evals.sweep"] = tuple(
      name
      for name, some in zip(names, learned, strict=True)
      if some and conditioned
    )
  if {*left} - {*found}:
    sizes = _sizes(config, dataset)
    found |= {path: sizes[path] for path in left if path in sizes}
  return config_lib.replace(config, **found) if found else config


def _sizes(
  config: config_lib.Config, dataset: dataset_lib.Dataset
) -> dict[str, int]:
  """Returns the sizes that suit the log, by path."""
  train = config.train
  engagements, items = (
    statistics.training_engagements(dataset),
    len(dataset.items.ids),
  )
  width, rows = next(own for most, *own in SIZES if engagements < most)
  batch = train.batch_size or rows
  tokens = engagements + len(dataset.users)  # Each user has a start token.
  needed = EPOCHS * tokens // (batch * config.data.sequence_length)
  least = max(MIN_STEPS, train.warmup_steps + 1)
  steps = train.steps or min(max(needed, least), MAX_STEPS)
  table = 1 << (items - 1).bit_length()
  return {
    "model.hidden_dim": width,
    "model.embedding_dim": width,
    "model.table_size": min(max(table, MIN_TABLE), MAX_TABLE),
    "train.batch_size": batch,
    "train.steps": steps,
    "train.eval_every": max(steps // VALIDATIONS, 1),
  }
