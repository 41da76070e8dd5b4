"""Training data of a run: packed histories and item frequencies."""

import numpy as np
from jaxtyping import Float32, Int, Integer

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import evaluation_cases, histories, pipeline, splits
from pinrec_jax.losses import negative_sampling, objectives
from pinrec_jax.model import item_embedder


def packed(
  config: config_lib.Config, dataset: dataset_lib.Dataset
) -> tuple[pipeline.PackedRows, objectives.Corpus]:
  """Returns the packed training histories, and the corpus of the log.

  Raises:
    ValueError: if the log has no training target, or none with an outcome that
      the configuration names.
  """
  vocabulary = dataset.vocabulary
  split = evaluation_cases.after_training(
    train_on_validation=config.train.train_on_validation
  )
  pieces = [
    piece
    for events in dataset.events
    for piece in histories.training(
      splits.past(vocabulary, events, split),
      config.data,
      end=splits.starts(vocabulary, split),
      outcomes=vocabulary.outcomes,
      aim=dataset.aim,
    )
  ]
  if not pieces:
    raise ValueError(_no_targets(config, split))
  targets = np.concatenate([piece.targets.item for piece in pieces])
  outcomes = np.concatenate([piece.targets.outcomes for piece in pieces])
  _require_outcomes(
    config, vocabulary.outcome_names, outcomes[targets > 0].sum(0)
  )
  shown = np.concatenate([piece.targets.shown for piece in pieces])
  items = len(dataset.items.ids)
  corpus = objectives.Corpus(
    features=item_embedder.features(
      dataset.items, config.model.num_hashes, config.model.table_size
    ),
    frequencies=negative_sampling.Frequencies(
      _frequency(targets, items), _frequency(shown, items)
    ),
  )
  rows = pipeline.PackedRows(
    pieces, config.data.sequence_length, config.train.seed
  )
  return rows, corpus


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


def _frequency(
  drawn: Int[np.ndarray, "_"], items: int
) -> Float32[np.ndarray, "v"]:
  """Returns the fraction of each item; item 0 is none and not counted."""
  counts = np.bincount(drawn[drawn > 0], minlength=items)
  return (counts / max(counts.sum(), 1)).astype(np.float32)
