"""Separated text such as CSV: its rows and its broken lines."""

import csv
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import csv as arrow_csv

from pinrec_jax.data import headers

FIELDS = "wrong number of fields"
SWALLOWED = "line inside a quote that is not closed"
REPEATED = "header line again"
FIELD_SIZE = 1 << 24  # Characters of a field.


class Broken(NamedTuple):
  """Lines that cannot be read.

  Attributes:
    row: number of the first line in the file.
    reason: why.
    text: more about it.
    lines: number of lines.
  """

  row: int
  reason: str
  text: str
  lines: int = 1


Row = tuple[int, list[str]] | Broken
# Numbers of the good rows, their columns, and the broken lines.
Piece = tuple[list[int], Sequence[Sequence[Any]], Sequence[Broken]]


def pieces(
  lines: Iterable[str], file: str, layout: headers.Layout, size: int
) -> Iterator[Piece]:
  """Yields the rows, about `size` of them at a time.

  Fields may be quoted, and a quoted field may have several lines. A quote that
  is not closed would swallow the rows up to the next quote. Such lines are
  noticed: they look like the row before, or text follows the quote that closes
  the field. In text that tabs separate, quotes are then ordinary characters. In
  other text, the lines are broken.
  """
  lines, number, first = iter(lines), 0, ""
  for first in lines:
    number += 1
    if first.strip():
      break
  separator = headers.separator_of(first, file, layout)
  names = headers.fields_of(first, separator)
  if layout.header and [*layout.header] != names:  # The first line is a row.
    lines, number, names = (
      itertools.chain([first], lines),
      number - 1,
      [*layout.header],
    )
  records = _Records(file, separator, names, number)
  while block := list(itertools.islice(lines, size)):
    columns = _plain(block, separator, names)
    if columns:
      yield (
        [*range(records.number + 1, records.number + 1 + len(block))],
        columns,
        [],
      )
      records.number += len(block)
      records.before = [column[-1].as_py() for column in columns]
    else:
      stop = records.number + len(block)
      found = [*records.read(itertools.chain(block, lines), stop)]
      good = [row for row in found if not isinstance(row, Broken)]
      broken = [row for row in found if isinstance(row, Broken)]
      turned = [*zip(*(row for _, row in good), strict=True)] or [()] * len(
        names
      )
      yield [n for n, _ in good], turned, broken


def _plain(
  block: list[str], separator: str, names: list[str]
) -> list[pa.Array] | None:
  """Returns the columns of lines without a quote that are all rows."""
  text = "".join(block)
  if '"' in text:
    return None
  kinds = {str(place): pa.string() for place in range(len(names))}
  try:
    table = arrow_csv.read_csv(
      pa.py_buffer(text.encode()),
      arrow_csv.ReadOptions(column_names=[*kinds]),
      arrow_csv.ParseOptions(delimiter=separator, quote_char=False),
      arrow_csv.ConvertOptions(column_types=kinds, strings_can_be_null=False),
    )
  except pa.ArrowInvalid:
    return None
  columns = [column.combine_chunks() for column in table.columns]
  header = block[0].startswith(names[0]) or f"\n{names[0]}" in text
  header |= any(mark in text for mark in headers.MARKS)
  return None if header or len(table) != len(block) else columns


class _Records:
  """Reads lines one by one; some may be broken.

  Attributes:
    number: number of the last line that was read.
    before: the last good row.
  """

  def __init__(self, file: str, separator: str, names: list[str], number: int):
    self._file, self._separator, self._names = file, separator, names
    self.number, self.before = number, list[str]()

  def read(self, lines: Iterator[str], stop: int) -> Iterator[Row]:
    """Yields rows up to the line `stop`, and to the end of its row."""
    held: list[str] = []
    first, width = self.number, len(self._names)
    csv.field_size_limit(FIELD_SIZE)
    reader = csv.reader(_held(lines, held), delimiter=self._separator)
    try:
      for row in reader:
        number, self.number = self.number + 1, first + reader.line_num
        plain = len(row) == width and number == self.number
        # A quote that is not closed may join two fields of a line, too.
        joined = plain and any(self._separator in field for field in row)
        if plain and not (joined and not _is_strict(held, self._separator)):
          if headers.is_header(row, self._names):
            yield Broken(number, REPEATED, "")
          else:
            yield number, row
            self.before = row
        elif row:
          yield from _unusual(
            row, number, held, self._separator, width, self.before
          )
        held.clear()
        if self.number >= stop:
          return
    except csv.Error as error:
      raise ValueError(
        f"{self._file} cannot be read: a quote opens in row {self.number + 1} "
        "and is not closed; close it, or double a quote inside a field"
      ) from error


def _unusual(
  row: list[str],
  number: int,
  held: list[str],
  separator: str,
  width: int,
  before: list[str],
) -> Iterator[Row]:
  """Yields a record of several lines, or of another number of fields."""
  lines = [line.rstrip("\r\n") for line in held]
  plain = [line.split(separator) for line in lines]
  odd = len(lines) > 1 or len(row) == width
  odd = odd and not _is_strict(held, separator)
  if odd or _swallowed(row, separator, width, before):
    if separator != "\t":
      last = number + len(lines) - 1
      text = f"to {last}, from {lines[0][:40]!r}"
      yield Broken(number, SWALLOWED, text, len(lines))
      return
  elif len(row) == width:
    yield number, row
    return
  elif separator != "\t" or '"' not in held[0]:
    plain = [row]
  for place, fields in enumerate(plain, start=number):
    if len(fields) == width:
      yield place, fields
    else:
      text = f"has {len(fields)} fields instead of {width}"
      size = len(lines) if len(plain) == 1 else 1
      yield Broken(place, FIELDS, text, size)


def _is_strict(held: list[str], separator: str) -> bool:
  """Whether lines are one record, with nothing after a closing quote."""
  try:
    return bool([*csv.reader(held, delimiter=separator, strict=True)])
  except csv.Error:
    return False


def _swallowed(
  row: list[str], separator: str, width: int, before: list[str]
) -> bool:
  """Whether a field of several lines has lines that look like rows.

  Such a line is inside the field; or the first and the last line look like rows
  together with the other fields.
  """

  def _alike(fields: list[str]) -> bool:
    if len(fields) != width or not before:
      return len(fields) == width
    kinds = (
      [bool(headers.NUMBER.fullmatch(f.strip())) for f in r]
      for r in (fields, before)
    )
    return next(kinds) == next(kinds)

  for place, field in enumerate(row):
    first, *inner = [line.split(separator) for line in field.split("\n")]
    last = inner.pop() if inner else []
    both = (row[:place] + first, last + row[place + 1 :])
    if any(map(_alike, inner)) or (last and all(map(_alike, both))):
      return True
  return False


def _held(lines: Iterable[str], held: list[str]) -> Iterator[str]:
  for line in lines:
    held.append(line)
    yield line
