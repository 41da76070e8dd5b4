"""What was wrong with the rows of a log, counted and shown."""

import dataclasses
import itertools
import json
import pathlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from pinrec_jax.data import readers

SHOWN = 5  # rows told of each fault
FILE = "rows.json"


@dataclasses.dataclass
class RowErrors:
  """Rows read, and those rejected by their reason."""

  rows: int = 0
  counts: dict[str, int] = dataclasses.field(default_factory=dict)
  examples: dict[str, list[str]] = dataclasses.field(default_factory=dict)
  # What was kept and is worth knowing.
  notes: dict[str, int] = dataclasses.field(default_factory=dict)

  @property
  def rejected(self) -> int:
    """How many rows were left out."""
    return sum(self.counts.values())

  @property
  def figures(self) -> dict[str, int]:
    """Flat figures for a report."""
    told = {"rows": self.rows, "rows/rejected": self.rejected}
    told |= {f"rows/rejected/{reason}": n for reason, n in self.counts.items()}
    return told | {f"rows/{note}": n for note, n in self.notes.items()}

  def __add__(self, other: "RowErrors") -> "RowErrors":
    found = RowErrors(self.rows + other.rows)
    for one in (self, other):
      for reason, count in one.counts.items():
        found.add(reason, count, one.examples[reason])
      for text, count in one.notes.items():
        found.note(text, count)
    return found

  def add(self, reason: str, count: int, told: Iterable[str]) -> None:
    """Counts rows left out, and keeps the first few."""
    if count:
      self.counts[reason] = self.counts.get(reason, 0) + count
      kept = self.examples.setdefault(reason, [])
      kept += itertools.islice(told, SHOWN - len(kept))

  def note(self, text: str, count: int) -> None:
    """Counts what was kept and is worth knowing."""
    if count:
      self.notes[text] = self.notes.get(text, 0) + count

  def broken(self, chunk: readers.Chunk) -> None:
    """Counts a chunk's rows, and rejects those that could not be read."""
    self.rows += len(chunk.row) + len(chunk.broken)
    for row, reason, told in chunk.broken:
      self.add(reason, 1, [f"{chunk.file}:{row} {told}"])

  def check(self, most: float) -> None:
    """Raises ValueError if more than this share of the rows was rejected."""
    if self.rejected > most * self.rows:
      raise ValueError(
        f"{self.rejected} of {self.rows} rows are bad, more than "
        f"config.data.max_bad_fraction={most}:\n{self}\nmend them, or raise "
        "--config.data.max_bad_fraction"
      )

  def __str__(self) -> str:
    lines = []
    for reason, count in sorted(self.counts.items(), key=lambda c: -c[1]):
      lines.append(f"  {count} x {reason}")
      lines += [f"    {row}" for row in self.examples[reason]]
    lines += [f"  note: {n} {note}" for note, n in self.notes.items()]
    return "\n".join(lines)

  def save(self, folder: pathlib.Path) -> None:
    """Writes them beside the prepared log."""
    folder.mkdir(parents=True, exist_ok=True)
    told = json.dumps(dataclasses.asdict(self), ensure_ascii=False)
    (folder / FILE).write_text(told)


def load(folder: pathlib.Path) -> RowErrors:
  """Reads what `save` wrote."""
  return RowErrors(**json.loads((folder / FILE).read_text()))


class RowFilter:
  """The rows of one chunk that are still good."""

  def __init__(self, chunk: readers.Chunk, faults: RowErrors):
    self.chunk, self.faults = chunk, faults
    self.good = np.ones(len(chunk.row), bool)
    faults.broken(chunk)

  def places(self) -> list[str]:
    """Returns where each row stands."""
    return [f"{self.chunk.file}:{row}" for row in self.chunk.row]

  def reject(self, bad: ArrayLike, reason: str, column: str) -> None:
    """Leaves out rows, told by a mask, each for the first fault found."""
    hit = np.flatnonzero(self.good & np.asarray(bad))
    file, rows = self.chunk.file, self.chunk.row
    values = self.chunk.frame[column].to_numpy()
    told = (f"{file}:{rows[n]} {column}={values[n]!r}" for n in hit)
    self.faults.add(reason, len(hit), told)
    self.good[hit] = False


def some_good(faults: RowErrors, pattern: str, field: str) -> None:
  """Raises ValueError if none of the rows that a field names is good."""
  if faults.rejected == faults.rows:
    raise ValueError(
      f"config.data.{field} {pattern!r} holds no good row\n{faults}"
    )
