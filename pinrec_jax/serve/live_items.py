"""Items that can be added, changed and deleted while they are searched.

ScaNN must not be changed while it is searched. So the base index is immutable.
Added items are searched exactly, and deleted items are masked. A snapshot holds
all three and never changes. A request reads one snapshot. In the background, a
rebuild makes a new base index of everything and swaps it in.
"""

import dataclasses
import threading
import time

import numpy as np

from pinrec_jax.index import build
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.serve import item_rows, snapshots

KEEP = 60.0  # Seconds for which a replaced item can be read.


class LiveItems:
  """The current snapshot, and the changes that make the next one.

  Attributes:
    snapshot: all items at this moment.
    number: of the last stored change that was applied; 0 if none was.
    complete: time of `time.monotonic` at which no stored change was missing.
  """

  def __init__(self, bundle: bundle_lib.Bundle, keep: float = KEEP) -> None:
    """Starts with the items of a bundle.

    Args:
      bundle: with the items.
      keep: seconds for which replaced items can be read; requests take less.
    """
    items = bundle.catalog.items
    self._lock = threading.Lock()
    self._config = bundle.config.index
    self._row_of = dict(bundle.catalog.row_of)
    self._replaced: list[int] = []  # Rows, since the last rebuild.
    self.number, self.complete = 0, time.monotonic()
    self.snapshot = snapshots.Snapshot(
      version=0,
      index=bundle.index,
      place_rows=bundle.candidates,
      base=len(bundle.candidates),
      live=np.ones(len(bundle.candidates), bool),
      rows=item_rows.Rows(
        bundle.vectors,
        items.item_type,
        items.categorical,
        items.ids.tolist(),
        keep,
      ),
      row_of=self._row_of,
      catalog=bundle.catalog,
    )

  def apply(self, changes: list[item_rows.Change]) -> snapshots.Snapshot:
    """Applies changes in order and returns the snapshot with all of them."""
    with self._lock:
      old = self.snapshot
      live, added = old.live.copy(), []
      rows: dict[str, int] = {}
      replaced = []
      for change in changes:
        before = rows.get(change.item, self._row_of.get(change.item))
        if (place := old.place(before)) >= 0:
          live[place] = False
        added = [row for row in added if row != before]
        if change.vector is None:
          # The row stays, so that histories with the item can be read.
          continue
        if before is not None:
          replaced.append(before)
        row = old.rows.add(change)
        rows[change.item] = row
        added.append(row)
      self.snapshot = dataclasses.replace(
        old,
        version=old.version + 1,
        place_rows=np.append(old.place_rows, np.array(added, np.int32)),
        live=np.append(live, np.ones(len(added), bool)),
      )
      # Only now, because the old snapshot has no places for these rows.
      self._row_of.update(rows)
      self._replaced += replaced
      return self.snapshot

  def rebuild(self) -> snapshots.Snapshot:
    """Makes a new base index of all live items and swaps it in.

    It takes long; searches and changes go on meanwhile.
    """
    with self._lock:
      begun, replaced, self._replaced = self.snapshot, self._replaced, []
    rows = begun.place_rows[begun.live]
    index = build.build(self._config, begun.rows.vectors(rows))
    with self._lock:
      now = self.snapshot
      gone = ~np.isin(rows, now.place_rows[now.live])
      newer = now.place_rows[len(begun.place_rows) :]
      live = now.live[len(begun.place_rows) :]
      self.snapshot = dataclasses.replace(
        now,
        version=now.version + 1,
        index=index,
        place_rows=np.append(rows, newer),
        base=len(rows),
        live=np.append(~gone, live),
      )
      # No place of this snapshot or a later one has them.
      now.rows.release(replaced)
      return self.snapshot
