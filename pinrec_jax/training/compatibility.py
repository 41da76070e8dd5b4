"""What a checkpoint must agree with: the network, the split, the vocabulary."""

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import Any

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalog as catalog_lib

# Fields of the model that fit any parameters.
FREE = ("dropout", "dtype", "remat")
DATA = (
  "name", "sequence_length", "history_events", "split_shift_days",
  "held_out_events",
)  # fmt: skip


def network(
  config: config_lib.Config, catalog: catalog_lib.Catalog
) -> dict[str, Any]:
  """Returns what a checkpoint must agree with, as values for JSON.

  It names the fields that shape the network, the split (otherwise a model could
  be measured on what it was trained on), and the meaning of every index that
  has a learned vector. It does not name items: their ids are hashed.
  """
  custom, names = config.data.custom, catalog.vocabulary
  found = {f"data.{key}": getattr(config.data, key) for key in DATA}
  found |= {
    "data.custom.validation_from": custom.validation_from,
    "data.custom.test_from": custom.test_from,
    "train.train_on_validation": config.train.train_on_validation,
    # Adam and lazy Adam have the same state.
    "row-wise Adagrad": config.train.table_optimizer == "adagrad",
    "actions": names.actions,
    "outcomes": names.outcomes,
    "surfaces": names.surfaces,
    "item types": names.item_types,
    "item features": [feature.name for feature in names.features],
    "item feature values": catalog.values_digest,
    "item numbers": names.dense,
  }
  found |= {
    f"model.{key}": value
    for key, value in dataclasses.asdict(config.model).items()
    if key not in FREE
  }
  return json.loads(json.dumps(found))


def differences(
  saved: Mapping[str, Any], wanted: Mapping[str, Any], ignoring: Collection[str]
) -> list[str]:
  """Returns sentences on what differs between a checkpoint and a run.

  Args:
    saved: `network` of the checkpoint.
    wanted: `network` of the run.
    ignoring: keys that need not agree.
  """
  return [
    f"{key} is {saved.get(key)!r} there and {wanted.get(key)!r} here"
    for key in sorted({*saved, *wanted} - {*ignoring})
    if saved.get(key) != wanted.get(key)
  ]
