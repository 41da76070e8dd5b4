"""What a catalog takes from the events of a log."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalog, counts, records, row_errors
from pinrec_jax.data.custom import columns, events, items


@dataclasses.dataclass
class Census:
  """Of a part of a log; those of several parts add up."""

  faults: row_errors.RowErrors = dataclasses.field(
    default_factory=row_errors.RowErrors
  )
  surfaces: frozenset[str] = frozenset()
  # How many events each item has, by its id as text.
  items: Any = dataclasses.field(
    default_factory=lambda: pd.Series(dtype=np.int64)
  )
  gaps: counts.Counts = dataclasses.field(default_factory=counts.Counts)

  def __add__(self, other: "Census") -> "Census":
    shown = pd.concat([self.items, other.items])
    return Census(
      self.faults + other.faults,
      self.surfaces | other.surfaces,
      shown.groupby(level=0, sort=False).sum(),
      self.gaps + other.gaps,
    )

  def include(self, other: "Census") -> None:
    """Adds another to this one, so that only the sum is kept."""
    vars(self).update(vars(self + other))


def taken(
  log: columns.Frame, faults: row_errors.RowErrors, before: int
) -> Census:
  """Returns the census of a log of whole users.

  Args:
    log: from `events.whole`.
    faults: of its rows.
    before: when the validation starts, as for `records.gaps`.
  """
  shown = log["item"].astype(object).value_counts()
  surfaces = frozenset(log["surface"].astype(object).unique())
  return Census(faults, surfaces, shown, records.gaps(log, before=before))


def starts(own: config_lib.Custom) -> dict[str, int]:
  """Returns when validation and test start; nothing where each has its last.

  Raises:
    ValueError: if one of the two is no time, or the test is not the later.
  """
  if not own.test_from and not own.validation_from:
    return {}
  if not own.time:
    raise ValueError(
      "config.data.custom.time is empty, so that no event has a time, and "
      f"own.test_from is {own.test_from!r}; leave it and own.validation_from "
      "out, or name the column of times"
    )
  found = {}
  for field in ("validation_from", "test_from"):
    told = getattr(own, field)
    moment = columns.seconds(pd.Series([told], dtype=object))[0]
    if not moment > 0:
      raise ValueError(
        f"config.data.custom.{field} is {told!r}; give a time such as 2022-05-01 "
        "or unix seconds"
      )
    found[field] = int(moment)
  if found["validation_from"] >= found["test_from"]:
    raise ValueError(
      f"config.data.custom.validation_from is {own.validation_from!r}, not before "
      f"test_from {own.test_from!r}; validate before the test"
    )
  return found


def table(
  config: config_lib.Data,
) -> tuple[columns.Frame, row_errors.RowErrors]:
  """Returns the item table, ids as text, and what was wrong with its rows."""
  faults = row_errors.RowErrors()
  if not config.items:
    return pd.DataFrame({"item": [], "item_type": []}, dtype=object), faults
  return items.read(config, faults), faults


class Described(NamedTuple):
  """A log's items and names, as for `catalog.encode`."""

  items: columns.Frame
  candidates: Shaped[np.ndarray, "c"]
  names: dict[str, Any]
  ids: Mapping[str, Any]  # of the items, by their text

  def numbered(self, log: columns.Frame) -> columns.Frame:
    """Returns a log of `events.whole`, as for `records.examples`."""
    item = log["item"].astype(object).map(self.ids)
    place = pd.Index(self.names["surfaces"])
    surface = log["surface"].astype(object).replace("", "unknown")
    return log.assign(item=item, surface=place.get_indexer(surface))

  def catalog(self, own: config_lib.Custom) -> catalog.Catalog:
    """Returns the catalog itself."""
    actions = tuple(events.names(own)[1])
    return catalog.encode(
      self.items, self.candidates, actions=actions, **self.names
    )


def described(
  found: Census, listed: columns.Frame, config: config_lib.Data
) -> Described:
  """Returns what a whole log's catalog is made of.

  Without a table what the log shows may be recommended; with one, items that
  it lacks are read and never recommended.

  Args:
    found: of the whole log.
    listed: the item table.
    config: what the columns mean.
  """
  lost = sorted(set(found.items.index) - set(listed["item"]))
  others = pd.DataFrame({"item": lost, "item_type": "item"}, dtype=object)
  items: Any = pd.concat([listed, others], ignore_index=True)
  numbers = [name for name in items if name.startswith(catalog.NUMBER)]
  items[numbers] = items[numbers].astype(float).fillna(0.0)
  text = items["item"]
  items["item"] = ids = columns.ids(text)
  names = {
    "outcomes": len(events.names(config.custom)[0]),
    "surfaces": ("unknown", *sorted(found.surfaces - {"", "unknown"})),
    "gaps": records.percentiles(found.gaps),
    **starts(config.custom),
  }
  candidates = ids[: len(listed)] if config.items else ids
  return Described(items, candidates, names, dict(zip(text, ids, strict=True)))


def settled(
  found: Census, listed: columns.Frame, config: config_lib.Data
) -> row_errors.RowErrors:
  """Returns all that was wrong; raises ValueError if it is too much."""
  faults = found.faults
  if config.items:
    lost = found.items[~found.items.index.isin(listed["item"])]
    faults.note("events of items that are not in data.items", int(lost.sum()))
  faults.check(config.max_bad_fraction)
  return faults
