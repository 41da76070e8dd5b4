"""Training data of a run: packed histories and item frequencies."""

import pathlib
import sys
from collections.abc import Iterator

import filelock
import numpy as np
import tqdm
from absl import logging
from jaxtyping import Float32, Int, Integer

from pinrec_jax import config as config_lib
from pinrec_jax import files
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import (
  evaluation_cases,
  histories,
  kept,
  packing,
  pipeline,
  schema,
  splits,
)
from pinrec_jax.losses import negative_sampling, objectives
from pinrec_jax.model import item_embedder

FOLDER = "packed"  # In the folder of a prepared log.
# Files that say how histories are read. If they change, logs are packed anew.
CODE = tuple(
  files.digest(pathlib.Path(str(module.__file__)))
  for module in (histories, schema)
)


def packed(
  config: config_lib.Config, dataset: dataset_lib.Dataset
) -> tuple[pipeline.PackedRows, objectives.Corpus]:
  """Returns the packed training histories, and the corpus of the log.

  The histories of a prepared log are written beside it, once for each way of
  reading it.

  Raises:
    ValueError: if the log has no training target, or none with an outcome that
      the configuration names.
  """
  pieces = _pieces(config, dataset)
  if not len(pieces):
    raise ValueError(_no_targets(config, _end(config)))
  counts = pieces.counts
  _require_outcomes(config, dataset.vocabulary.outcome_names, counts.outcomes)
  corpus = objectives.Corpus(
    features=item_embedder.features(
      dataset.items, config.model.num_hashes, config.model.table_size
    ),
    frequencies=negative_sampling.Frequencies(
      _frequency(counts.targets), _frequency(counts.shown)
    ),
  )
  rows = pipeline.PackedRows(
    pieces, config.data.sequence_length, config.train.seed
  )
  return rows, corpus


def _end(config: config_lib.Config) -> str:
  """Returns the split at which training ends."""
  return evaluation_cases.after_training(
    train_on_validation=config.train.train_on_validation
  )


def _pieces(
  config: config_lib.Config, dataset: dataset_lib.Dataset
) -> packing.Pieces:
  """Returns the training histories in pieces, from files if they are there."""
  data, items = config.data, len(dataset.items.ids)
  if not kept.is_stored(dataset):
    return packing.InMemory(_histories(config, dataset), items)
  key = kept.key(
    dataset,
    items,
    _end(config),
    data.sequence_length,
    data.history_events,
    data.session_gap,
    *CODE,
  )
  folder = dataset.folder / FOLDER / key
  try:
    folder.parent.mkdir(exist_ok=True)
    # Processes that are started together write the files once.
    with filelock.FileLock(folder.parent / f".{key}.lock"):
      try:
        if folder.exists():
          return packing.InFile(folder)
      except packing.DamagedError as error:
        print(f"{error}; it is written again", file=sys.stderr)
      packing.write(folder, _histories(config, dataset), items)
      return packing.InFile(folder)
  except OSError as error:
    logging.warning(
      "%s cannot be written (%s), so the histories of this "
      "training are kept in memory",
      folder,
      error,
    )
    return packing.InMemory(_histories(config, dataset), items)


def _histories(
  config: config_lib.Config, dataset: dataset_lib.Dataset
) -> Iterator[schema.Batch]:
  """Yields the pieces of all users."""
  vocabulary, split = dataset.vocabulary, _end(config)
  end = splits.starts(vocabulary, split)
  for events in tqdm.tqdm(
    dataset.events, "packing", unit=" users", disable=None, leave=False
  ):
    yield from histories.training(
      splits.past(vocabulary, events, split),
      config.data,
      end=end,
      outcomes=vocabulary.outcomes,
      aim=dataset.aim,
    )


def _no_targets(config: config_lib.Config, split: str) -> str:
  """Returns the error of a log without a training target."""
  data = config.data
  if data.target_surface or data.target_outcomes:
    return (
      f"{data.name} has no engagement to train on with data.target_surface="
      f"{data.target_surface!r} and data.target_outcomes="
      f"{data.target_outcomes!r}; choose others"
    )
  return (
    f"{data.name} has no engagement before its {split} period; start that "
    "period later (data.split_shift_days, data.custom.validation_from)"
  )


def _require_outcomes(
  config: config_lib.Config,
  names: tuple[str, ...],
  counts: Integer[np.ndarray, "o"],
) -> None:
  """Raises ValueError for a configured outcome without a training target."""
  shares = config.decode.budget.split(",")
  wanted = {part.rpartition(":")[0].strip() for part in shares}
  wanted |= {part.strip() for part in config.data.target_outcomes.split(",")}
  for name, count in zip(names, counts, strict=True):
    if not count and name in wanted:
      raise ValueError(
        f"no training engagement has the outcome {name!r}; remove it from "
        "data.target_outcomes and decode.budget"
      )


def _frequency(counts: Int[np.ndarray, "v"]) -> Float32[np.ndarray, "v"]:
  """Returns the fraction of each item."""
  return (counts / max(counts.sum(), 1)).astype(np.float32)
