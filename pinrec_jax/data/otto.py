"""OTTO's sessions as a TFDS data set, from your own files.

Normann, Baumeister and Wilm, 2023, https://github.com/otto-de/recsys-dataset,
CC BY 4.0. A line is a session: a JSON object with clicks, carts and orders.
"""

import pandas as pd
import tensorflow_datasets as tfds

from pinrec_jax.data import (
  identifiers,
  readers,
  records,
  row_errors,
  sources,
  tfds_builder,
)

OUTCOMES = ("clicks", "carts", "orders")
SPLIT = 1 << 20  # Target number of events that are prepared in one piece.
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
    errors, parts = row_errors.RowErrors(), []
    for path in sources.files(f"{self.source}/*.jsonl*", "source")[0]:
      for chunk in readers.chunks(path, wanted=("session", "events")):
        good = chunk.filter(errors)
        columns = (chunk.columns["session"], chunk.columns["events"])
        sessions, events = map(readers.python, columns)
        lacks = [
          not session or not own
          for session, own in zip(
            map(identifiers.id_text, sessions), events, strict=True
          )
        ]
        good.reject(lacks, "no session or no events", "session", sessions)
        parts += [
          pd.DataFrame(own).assign(user=user)
          for user, own, kept in zip(sessions, events, good.good, strict=True)
          if kept
        ]
    errors.check(self.data.max_bad_fraction)
    log = pd.concat(parts, ignore_index=True).rename(columns=FIELDS)
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
        "gaps": records.gaps(log),
      },
      errors,
    )
