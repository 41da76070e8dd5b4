"""Separated text such as CSV: its header, its rows, and its broken lines."""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

SEPARATORS = (",", "\t", ";", "|")
FIELDS = "wrong number of fields"
SWALLOWED = "line inside a quote that is not closed"
REPEATED = "header line again"
FIELD_SIZE = 1 << 24  # Characters of a field.
LARGE = 10_000  # No column has a number as large as this for a name.
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class Layout(NamedTuple):
  """How a file of separated text is written.

  Attributes:
    header: names of the columns of a file without a header line.
    separator: between fields; empty is the most frequent of the first line.
  """

  header: tuple[str, ...] = ()
  separator: str = ""


DEFAULT = Layout()


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


def header(lines: Iterable[str], file: str, layout: Layout) -> list[str]:
  """Returns the names of the columns.

  Raises:
    ValueError: if the first line looks like data.
  """
  first = next((line for line in lines if line.strip()), "")
  names = _fields(first, separator_of(first, layout))
  if layout.header:
    if len(layout.header) != len(names):
      raise ValueError(
        f"config.data.custom.header has {len(layout.header)} names and row 1 "
        f"of {file} has {len(names)} fields; give one name per field"
      )
    return [*layout.header]
  numbers = [name for name in names if _NUMBER.fullmatch(name)]
  large = any(abs(float(name)) >= LARGE or "." in name for name in numbers)
  dated = any(_DATE.match(name) for name in names)
  most = names[0] in numbers and 2 * len(numbers) > len(names)
  if large or dated or most:
    raise no_header(file, names)
  return names


def no_header(file: str, names: Sequence[str]) -> ValueError:
  """Returns the error of a file whose first line looks like data."""
  return ValueError(
    f"row 1 of {file} looks like data: {', '.join(names)[:60]!r}. If the file "
    "has no header line, give the names of its columns, as "
    "--config.data.custom.header=user,item,time"
  )


def rows(lines: Iterable[str], file: str, layout: Layout) -> Iterator[Row]:
  """Yields the number and the fields of each row, or a broken line.

  Fields may be quoted, and a quoted field may have several lines. A quote that
  is not closed would swallow the rows up to the next quote. Such lines are
  noticed: they look like the row before. In text that tabs separate, quotes are
  then ordinary characters. In other text, the lines are broken.
  """
  lines, start = iter(lines), []
  for line in lines:
    start.append(line)
    if line.strip():
      break
  separator = separator_of("".join(start[-1:]), layout)
  names = _fields("".join(start[-1:]), separator)
  held: list[str] = []
  reader = csv.reader(
    _held(itertools.chain(start, lines), held), delimiter=separator
  )
  csv.field_size_limit(FIELD_SIZE)
  given = [*layout.header] or names
  width, before, last = len(names), [], 0
  try:
    for row in reader:
      number, last = last + 1, reader.line_num
      if len(row) == width and number == last:
        if row[0].strip() == given[0] and [f.strip() for f in row] == given:
          if number > len(start):
            yield Broken(number, REPEATED, "")
        else:
          yield number, row
          before = row
      elif row:
        yield from _unusual(row, number, held, separator, width, before)
      held.clear()
  except csv.Error as error:
    raise ValueError(
      f"{file} cannot be read: a quote opens in row {last + 1} and is not "
      "closed; close it, or double a quote inside a field"
    ) from error


def pieces(
  found: Iterator[Row], size: int
) -> Iterator[tuple[list[int], list[list[str]], Sequence[Broken]]]:
  """Yields the numbers and the fields of some rows, and the broken lines."""
  while part := list(itertools.islice(found, size)):
    broken = [row for row in part if isinstance(row, Broken)]
    good = [row for row in part if not isinstance(row, Broken)]
    yield [number for number, _ in good], [row for _, row in good], broken


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
  if _swallowed(row, separator, width, before):
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
      yield Broken(place, FIELDS, text)


def _swallowed(
  row: list[str], separator: str, width: int, before: list[str]
) -> bool:
  """Whether a field of several lines has lines that look like rows.

  Such a line is inside the field; or the first and the last line look like rows
  together with the other fields.
  """

  def alike(fields: list[str]) -> bool:
    if len(fields) != width or not before:
      return len(fields) == width
    kinds = (
      [bool(_NUMBER.fullmatch(f.strip())) for f in r] for r in (fields, before)
    )
    return next(kinds) == next(kinds)

  for place, field in enumerate(row):
    first, *inner = [line.split(separator) for line in field.split("\n")]
    last = inner.pop() if inner else []
    both = (row[:place] + first, last + row[place + 1 :])
    if any(map(alike, inner)) or (last and all(map(alike, both))):
      return True
  return False


def _held(lines: Iterable[str], held: list[str]) -> Iterator[str]:
  for line in lines:
    held.append(line)
    yield line


def separator_of(line: str, layout: Layout) -> str:
  """Returns the separator: the given one, or the most frequent."""
  if layout.separator:
    return "\t" if layout.separator in ("\\t", "tab") else layout.separator
  unquoted = re.sub('"[^"]*"', "", line)
  return max(SEPARATORS, key=unquoted.count)


def _fields(line: str, separator: str) -> list[str]:
  """Returns the fields of a header line without outer spaces."""
  found = next(csv.reader([line.rstrip("\r\n")], delimiter=separator), [])
  return [field.strip() for field in found]
