"""The rows of a log that were left out, counted and shown."""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from pinrec_jax import files

SHOWN = 5  # Rows that are shown for each reason.
FILE = "rows.json"


@dataclasses.dataclass
class RowErrors:
  """The row report of a log.

  Attributes:
    rows: number of rows that were read.
    counts: number of bad rows, by reason.
    examples: the first few bad or dropped rows, by reason.
    dropped: number of rows that were left out and are not bad, by reason.
    notes: number of rows that were kept, by what happened to them.
    messages: sentences about the log as a whole.
  """

  rows: int = 0
  counts: dict[str, int] = dataclasses.field(default_factory=dict)
  examples: dict[str, list[str]] = dataclasses.field(default_factory=dict)
  dropped: dict[str, int] = dataclasses.field(default_factory=dict)
  notes: dict[str, int] = dataclasses.field(default_factory=dict)
  messages: list[str] = dataclasses.field(default_factory=list)

  @property
  def rejected(self) -> int:
    """The number of bad rows."""
    return sum(self.counts.values())

  @property
  def figures(self) -> dict[str, int]:
    """Flat figures for a report."""
    found = {"rows": self.rows, "rows/rejected": self.rejected}
    found |= {f"rows/rejected/{name}": n for name, n in self.counts.items()}
    found |= {f"rows/dropped/{name}": n for name, n in self.dropped.items()}
    return found | {f"rows/{note}": n for note, n in self.notes.items()}

  def __add__(self, other: "RowErrors") -> "RowErrors":
    found = RowErrors(self.rows + other.rows)
    for one in (self, other):
      for reason, count in one.counts.items():
        found.add(reason, count, one.examples.get(reason, ()))
      for reason, count in one.dropped.items():
        found.drop(reason, count, one.examples.get(reason, ()))
      for text, count in one.notes.items():
        found.note(text, count)
      for message in one.messages:
        found.say(message)
    return found

  def add(self, reason: str, count: int, shown: Iterable[str] = ()) -> None:
    """Counts bad rows, and keeps the first few of them."""
    self._count(self.counts, reason, count, shown)

  def drop(self, reason: str, count: int, shown: Iterable[str] = ()) -> None:
    """Counts rows that are left out and are not bad, such as duplicates."""
    self._count(self.dropped, reason, count, shown)

  def _count(
    self, counts: dict[str, int], reason: str, count: int, shown: Iterable[str]
  ) -> None:
    if count:
      counts[reason] = counts.get(reason, 0) + count
      kept = self.examples.setdefault(reason, [])
      kept += itertools.islice(shown, SHOWN - len(kept))

  def note(self, text: str, count: int) -> None:
    """Counts rows that are kept, and says what happened to them."""
    if count:
      self.notes[text] = self.notes.get(text, 0) + count

  def say(self, message: str) -> None:
    """Adds a sentence about the log as a whole, once."""
    if message not in self.messages:
      self.messages.append(message)

  def check(self, most: float) -> None:
    """Raises ValueError if more than a fraction of the rows is bad."""
    if self.rejected > most * self.rows:
      raise ValueError(
        f"{self.rejected} of {self.rows} rows are bad, more than "
        f"config.data.max_bad_fraction={most} allows:\n{self}\nCorrect them, "
        "or raise --config.data.max_bad_fraction"
      )

  def require_good(self, field: str, pattern: str) -> None:
    """Raises ValueError if no row of the files of a field is good."""
    if self.rejected == self.rows:
      raise ValueError(
        f"config.data.{field} is {pattern!r}, and its files have no good row\n"
        f"{self}"
      )

  def __str__(self) -> str:
    lines = []
    for heading, counts in (("bad", self.counts), ("dropped", self.dropped)):
      for reason, count in sorted(counts.items(), key=lambda c: -c[1]):
        lines.append(f"  {heading}: {count:,} x {reason}")
        lines += [f"    {row}" for row in self.examples.get(reason, ())]
    lines += [f"  note: {n:,} {note}" for note, n in self.notes.items()]
    return "\n".join(lines + [f"  {message}" for message in self.messages])

  def save(self, folder: pathlib.Path) -> None:
    """Writes the report beside the prepared log."""
    files.write_json(folder / FILE, dataclasses.asdict(self))


def load(folder: pathlib.Path) -> RowErrors:
  """Reads the report that `save` wrote."""
  return RowErrors(**files.read_json(folder / FILE))


class RowFilter:
  """The rows of a piece of a file that are still good.

  Attributes:
    errors: where bad rows are counted.
    file: name of the file.
    row: the number of each row in the file.
    good: which rows are still good.
  """

  def __init__(self, errors: RowErrors, file: str, row: Any):
    self.errors, self.file, self.row = errors, file, row
    self.good = np.ones(len(row), bool)

  def places(self, rows: Any) -> list[str]:
    """Returns file and number of some rows, given by their index."""
    return [f"{self.file}:{self.row[n]}" for n in rows]

  def reject(self, bad: Any, reason: str, column: str, values: Any) -> None:
    """Leaves out rows; each counts for the first reason only.

    Args:
      bad: mask of the rows.
      reason: why they are bad.
      column: name of the column at fault.
      values: its values, for examples.
    """
    hit = np.flatnonzero(self.good & np.asarray(bad))
    shown = (
      f"{place} {column}={_plain(values[int(n)])!r}"
      for place, n in zip(self.places(hit[:SHOWN]), hit, strict=False)
    )
    self.errors.add(reason, len(hit), shown)
    self.good[hit] = False


def _plain(value: Any) -> Any:
  """Returns the Python value of an Arrow or NumPy scalar."""
  value = value.as_py() if hasattr(value, "as_py") else value
  return value.item() if isinstance(value, np.generic) else value
