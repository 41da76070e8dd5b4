"""The builder of a user's own log."""

from typing import Any

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds
from jaxtyping import Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import builder, catalogue, checks, records, schema, sources
from pinrec_jax.data.own import columns, events
from pinrec_jax.data.own import items as own_items


def _moment(told: str, field: str) -> int:
  """Returns the unix second that a field of the configuration names."""
  found = columns.seconds(pd.Series([told], dtype=object))[0]
  if not found > 0:
    raise ValueError(
      f"config.data.own.{field} is {told!r}; give a time such as 2022-05-01 or "
      "unix seconds"
    )
  return int(found)


def _surfaces(
  column: columns.Column,
) -> tuple[tuple[str, ...], Int[np.ndarray, "_"]]:
  """Returns the surfaces' names, the unknown one first, and each row's."""
  told = sorted({*column} - {"", "unknown"})
  known = ("unknown", *told)
  return known, pd.Index(known).get_indexer(column.replace("", "unknown"))


def _starts(own: config_lib.Own) -> dict[str, int]:
  """Returns when validation and test start; nothing where each has its last."""
  if not own.test_from and not own.validation_from:
    return {}
  starts = {
    field: _moment(getattr(own, field), field)
    for field in ("validation_from", "test_from")
  }
  if starts["validation_from"] >= starts["test_from"]:
    raise ValueError(
      f"config.data.own.validation_from is {own.validation_from!r}, not before "
      f"test_from {own.test_from!r}; validate before the test"
    )
  return starts


class OwnLog(builder.Builder):
  """A log of your own, split by time or by each user's last."""

  VERSION = tfds.core.Version("1.0.0")
  ORIGIN = "a log of your own"
  ABOUT = {"description": "A log of your own."}

  @property
  def actions(self) -> tuple[str, ...]:
    """The names in the configuration."""
    own = self.data.own
    return (*schema.names(own.actions), *schema.names(own.signals))

  @classmethod
  def contents(cls, data: config_lib.Data) -> str:
    """Names the contents of the files, and how they are read."""
    if not data.events:
      raise ValueError(
        "config.data.events is empty; give a file, a folder or a pattern"
      )
    paths = sources.files(data.events, "events")
    paths += sources.files(data.items, "items") if data.items else []
    return builder.fingerprint(paths, data.own, data.max_bad)

  def raw(self) -> builder.Raw:
    """Reads the files that the configuration names."""
    config, own, faults = self.data, self.data.own, checks.Faults()
    log: Any = events.read(config, faults)
    # Without a table, what the log shows may be recommended.
    shown = pd.DataFrame({"item": log["item"].unique(), "item_type": "item"})
    table: Any = own_items.read(config, faults) if config.items else shown
    lost = log.loc[~log["item"].isin(table["item"]), "item"]
    faults.note("events of items that are not in data.items", len(lost))
    faults.check(config.max_bad)
    others = shown[shown["item"].isin(lost)]
    items: Any = pd.concat([table, others], ignore_index=True)
    numbers = [name for name in items if name.startswith(catalogue.NUMBER)]
    items[numbers] = items[numbers].fillna(0.0)
    surfaces, places = _surfaces(log["surface"])
    items["item"] = columns.ids(items["item"])
    starts, row = _starts(own), pd.Index(items["item"].astype(str))
    item = items["item"].to_numpy()[row.get_indexer(log["item"])]
    log = log.assign(surface=places, item=item)
    gaps = records.gaps(log, held_out=2)
    if starts:
      gaps = records.gaps(log[log["time"] < starts["validation_from"]])
    return builder.Raw(
      [log],
      items,
      items["item"].to_numpy()[: len(table)],
      {
        "outcomes": len(schema.names(own.actions)),
        "surfaces": surfaces,
        "gaps": gaps,
        **starts,
      },
      faults,
    )
