"""What a checkpoint and a run must agree on."""

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import Any

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.model import backbone

# Fields of the model that do not change its parameters.
FREE_FIELDS = ("dropout", "dtype", "remat")
DATA_FIELDS = (
  "name", "sequence_length", "history_events", "split_shift_days",
  "held_out_events",
)  # fmt: skip
FORMAT = 2  # Raised when older checkpoints can no longer be read.
MAX_LISTED = 5  # Differences that an error lists.


def network(
  config: config_lib.Config, catalog: catalog_lib.Catalog
) -> dict[str, Any]:
  """Returns what a checkpoint must agree with, as JSON values by name.

  These are the fields that shape the network, the split of the log, and the
  meaning of every index that has a learned vector. With another split, a model
  could be evaluated on its own training data. Items are not included: their ids
  are hashed, so a log may gain items.
  """
  custom, names = config.data.custom, catalog.vocabulary
  found = {f"data.{key}": getattr(config.data, key) for key in DATA_FIELDS}
  found |= {
    "data.custom.validation_from": custom.validation_from,
    "data.custom.test_from": custom.test_from,
    f"format {FORMAT}": True,
    "train.train_on_validation": config.train.train_on_validation,
    # Adam and lazy Adam have the same optimizer state.
    "row-wise Adagrad": config.train.table_optimizer == "adagrad",
    "actions": names.actions,
    "outcomes": names.outcomes,
    "surfaces": names.surfaces,
    "item types": names.item_types,
    "item features": [feature.name for feature in names.features],
    "digest of item feature values": catalog.values_digest,
    "item numbers": names.dense,
  }
  found |= {
    f"model.{key}": value
    for key, value in dataclasses.asdict(config.model).items()
    if key not in FREE_FIELDS
  }
  found["model.scan_layers"] = backbone.is_scanned(config.model.num_layers)
  return json.loads(json.dumps(found))


def differences(
  saved: Mapping[str, Any],
  wanted: Mapping[str, Any],
  ignoring: Collection[str] = (),
) -> str:
  """Returns how a checkpoint differs from a run; empty if they agree.

  Another version of the package writes other names. Then one sentence says so,
  in place of a long list.

  Args:
    saved: `network` of the checkpoint.
    wanted: `network` of the run.
    ignoring: names that need not agree.
  """
  if saved.keys() != wanted.keys():
    return "another version of pinrec_jax wrote it"
  found = [
    f"{name} is {saved[name]!r} there and {wanted[name]!r} here"
    for name in sorted(wanted.keys() - {*ignoring})
    if saved[name] != wanted[name]
  ]
  if len(found) > MAX_LISTED:
    found[MAX_LISTED:] = [f"{len(found) - MAX_LISTED} more values differ"]
  return "; ".join(found)
