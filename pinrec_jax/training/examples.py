"""What a run trains on: packed histories, and what is counted over them."""

import numpy as np
from jaxtyping import Float32, Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import cuts, histories, pipeline, splits
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.losses import objectives
from pinrec_jax.model import items


def packed(
  config: config_lib.Config, dataset: dataset_lib.Dataset
) -> tuple[pipeline.PackedRows, objectives.Corpus]:
  """Returns the packed training histories and what is counted over them."""
  vocabulary = dataset.vocabulary
  split = splits.after_training(refit=config.train.refit)
  pieces = [
    piece
    for events in dataset.events
    for piece in histories.training(
      cuts.past(vocabulary, events, split),
      config.data,
      end=cuts.starts(vocabulary, split),
      outcomes=vocabulary.outcomes,
      aim=dataset.aim,
    )
  ]
  if not pieces and not config.data.surface + config.data.outcomes:
    raise ValueError(
      f"{config.data.name} has no engagement before its {split}; begin that "
      "later (data.days_back, data.own.validation_from)"
    )
  if not pieces:
    raise ValueError(
      f"{config.data.name} has no engagement to train on at "
      f"data.surface={config.data.surface!r} with data.outcomes="
      f"{config.data.outcomes!r}; choose others"
    )
  targets = np.concatenate([piece.targets.item for piece in pieces])
  # What is not aimed at has outcomes too, and no item.
  acted = np.concatenate([piece.targets.outcomes for piece in pieces])
  outcomes = acted[targets > 0].sum(0)
  for name, count in zip(vocabulary.outcome_names, outcomes, strict=True):
    if not count and name in _asked(config):
      raise ValueError(
        f"outcome {name!r} is asked for and no training engagement has it; "
        "leave it out of data.outcomes and decode.budget"
      )
  shown = np.concatenate([piece.targets.shown for piece in pieces])
  corpus = objectives.Corpus(
    features=items.features(
      dataset.items, config.model.hashes, config.model.rows
    ),
    share=_share(targets, len(dataset.items.ids)),
    shown_share=_share(shown, len(dataset.items.ids)),
    # An outcome never seen is never drawn; 1 keeps its weight finite.
    outcome_share=np.maximum(outcomes / max(outcomes.sum(), 1), 1e-6).astype(
      np.float32
    ),
    withheld=dataset.withheld,
  )
  rows = pipeline.PackedRows(pieces, config.data.length, config.train.seed)
  return rows, corpus


def _asked(config: config_lib.Config) -> set[str]:
  """Returns the outcomes that a configuration names."""
  named = f"{config.data.outcomes},{config.decode.budget}".split(",")
  return {part.partition(":")[0].strip() for part in named}


def _share(drawn: Int[np.ndarray, "_"], items: int) -> Float32[np.ndarray, "v"]:
  """Returns each item's share; 0, no item, has none."""
  counts = np.bincount(drawn[drawn > 0], minlength=items)
  return (counts / max(counts.sum(), 1)).astype(np.float32)
