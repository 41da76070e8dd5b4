"""What a run trains on: packed histories, and what is counted over them."""

import numpy as np

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import histories, pipeline
from pinrec_jax.losses import next_item
from pinrec_jax.model import items


def packed(
  config: config_lib.Config, dataset: dataset_lib.Dataset
) -> tuple[pipeline.PackedRows, next_item.Corpus]:
  """Returns the packed training histories and what is counted over them."""
  vocabulary = dataset.vocabulary
  until = vocabulary.validation_from
  if config.train.refit:
    until = vocabulary.test_from
  pieces = [
    piece
    for events in dataset.events
    for piece in histories.training(
      events,
      until=until,
      inputs=config.data.inputs,
      outcomes=vocabulary.outcomes,
      length=config.data.length,
    )
  ]
  if not pieces:
    raise ValueError(f"{config.data.name} has no engagement to train on")
  targets = np.concatenate([piece.targets.item for piece in pieces])
  outcomes = np.sum([piece.targets.outcomes.sum(0) for piece in pieces], 0)
  counts = np.bincount(targets, minlength=len(dataset.items.ids))
  corpus = next_item.Corpus(
    features=items.features(
      dataset.items, config.model.hashes, config.model.rows
    ),
    share=(counts / targets.size).astype(np.float32),
    # An outcome never seen is never drawn; 1 keeps its weight finite.
    outcome_share=np.maximum(outcomes / max(outcomes.sum(), 1), 1e-6).astype(
      np.float32
    ),
  )
  rows = pipeline.PackedRows(pieces, config.data.length, config.train.seed)
  return rows, corpus
