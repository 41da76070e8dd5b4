"""What a checkpoint must agree with: the network, and the log it learned."""

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import Any

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalogue

# Of a field that a checkpoint is older than: what it did before it was there.
USUAL = {
  f"{section}.{name}": value
  for section in ("model", "data")
  for name, value in dataclasses.asdict(config_lib.Config())[section].items()
}

# What older checkpoints do not tell.
SINCE = (
  "actions",
  "outcomes",
  "surfaces",
  "item types",
  "items and categories",
  "loss.sketch_rows",
  "loss.sketch_columns",
)


def network(
  config: config_lib.Config, known: catalogue.Catalogue
) -> dict[str, Any]:
  """Returns what a checkpoint must agree with to fit the model."""
  loss = config.loss
  return {
    "data.name": config.data.name,
    "data.length": config.data.length,
    "data.inputs": config.data.inputs,
    # Else it may have learned from what it is measured on.
    "data.days_back": config.data.days_back,
    "data.held_out": config.data.held_out,
    "data.withheld": config.data.withheld,
    **{
      f"data.own.{field}": told
      for field in ("validation_from", "test_from")
      if (told := getattr(config.data.own, field))
    },
    "items": len(known.items.ids),
    "item numbers": known.vocabulary.dense,
    **_meanings(known),
    "train.refit": config.train.refit,
    "loss.counts": loss.counts,
    **{
      f"loss.{field}": getattr(loss, field)
      for field in ("sketch_rows", "sketch_columns")
      if loss.counts == "sketch"
    },
    # Both kinds of Adam have the same moments.
    **({"train.tables": "adagrad"} if config.train.tables == "adagrad" else {}),
    **{
      f"model.{key}": value
      for key, value in dataclasses.asdict(config.model).items()
      if key not in ("dropout", "dtype", "keep")  # these fit any state
    },
  }


def _meanings(known: catalogue.Catalogue) -> dict[str, Any]:
  """Returns what the small integers mean that weights are learned for."""
  names = known.vocabulary
  return {
    "actions": names.actions,
    "outcomes": names.outcomes,
    "surfaces": names.surfaces,
    "item types": names.item_types,
    "items and categories": known.digest,
  }


def differences(
  saved: Mapping[str, Any], wanted: Mapping[str, Any], ignoring: Collection[str]
) -> list[str]:
  """Returns what is not the same in a checkpoint, in words.

  Args:
    saved: what `network` said when it was written, perhaps by an older version.
    wanted: what it says now.
    ignoring: what need not agree.
  """
  usual, wanted = (json.loads(json.dumps(told)) for told in (USUAL, wanted))
  before = usual | {key: wanted[key] for key in SINCE if key in wanted}
  saved = {key: before[key] for key in wanted if key in before} | {**saved}
  return [
    f"{key} is {saved.get(key)!r} there and {wanted.get(key)!r} here"
    for key in sorted({*saved, *wanted})
    if saved.get(key) != wanted.get(key) and key not in ignoring
  ]
