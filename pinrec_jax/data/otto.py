"""OTTO's sessions as a TFDS data set, from files of your own.

Normann, Baumeister and Wilm, 2023, https://github.com/otto-de/recsys-dataset,
CC BY 4.0: a JSON object a session, with its clicks, carts and orders.
"""

from typing import Any

import pandas as pd
import tensorflow_datasets as tfds

from pinrec_jax.data import readers, records, row_errors, tfds_builder

OUTCOMES = ("clicks", "carts", "orders")
SPLIT = 1 << 20  # events that are prepared in one piece, or so
FIELDS = {"aid": "item", "ts": "time", "type": "type"}


class Otto(tfds_builder.Builder):
  """OTTO: a session is a user, its last event the test."""

  VERSION = tfds.core.Version("1.0.0")
  BUILDER_CONFIGS = [
    tfds.core.BuilderConfig(name="sessions", description="All .jsonl files.")
  ]
  ACTIONS = OUTCOMES
  ORIGIN = "OTTO's .jsonl files"
  ABOUT = {
    "homepage": "https://github.com/otto-de/recsys-dataset",
    "license": "CC BY 4.0",
  }

  def raw(self) -> tfds_builder.Raw:
    """Reads a folder's files."""
    faults, parts = row_errors.RowErrors(), []
    for path in readers.files(f"{self.source}/*.jsonl*", "source"):
      for chunk in readers.chunks(path):
        faults.broken(chunk)
        frame: Any = chunk.frame  # whose columns pandas types as unions
        events = frame["events"].explode().dropna()
        told = pd.DataFrame(events.tolist()).rename(columns=FIELDS)
        user = frame["session"][events.index].to_numpy()
        parts.append(told.assign(user=user))
    faults.check(self.data.max_bad_fraction)
    log = pd.concat(parts, ignore_index=True)
    kinds = {name: log["type"] == name for name in OUTCOMES}
    log = log.assign(
      time=log["time"] // 1000, surface=0, engaged=True, **kinds
    ).drop(columns="type")
    items = pd.DataFrame({"item": log["item"].unique(), "item_type": "product"})
    return tfds_builder.Raw(
      [[part] for part in records.parts(log, SPLIT)],
      items,
      items["item"].to_numpy(),
      {
        "outcomes": len(OUTCOMES),
        "surfaces": ("unknown",),
        "gaps": records.percentiles(records.gaps(log)),
      },
      faults,
    )
