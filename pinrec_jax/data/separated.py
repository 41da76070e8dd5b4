"""Separated text such as CSV: its header, its rows, and its broken lines."""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import csv as arrow_csv

SEPARATORS = (",", "\t", ";", "|")
FIELDS = "wrong number of fields"
SWALLOWED = "line inside a quote that is not closed"
REPEATED = "header line again"
FIELD_SIZE = 1 << 24  # Characters of a field.
MARKS = "\ufeff\u200b"  # Byte order mark and zero-width space.
# Names of columns, without signs. Two of them in a line make it a header.
WORDS = frozenset(
  (
    "user", "userid", "item", "itemid", "product", "productid", "time",
    "timestamp", "date", "datetime", "action", "event", "eventtype", "rating",
    "session", "sessionid", "category", "price",
  )
)  # fmt: skip
LOOKED_AT = 1000  # Rows whose values are compared with the header.
LARGE = 10_000  # No column has a number as large as this for a name.
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_DIGITS = re.compile(r"\d+")
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
# Numbers of the good rows, their columns, and the broken lines.
Piece = tuple[list[int], Sequence[Sequence[Any]], Sequence[Broken]]


def header(lines: Iterable[str], file: str, layout: Layout) -> list[str]:
  """Returns the names of the columns.

  Raises:
    ValueError: if the first line looks like data, or like a header although
      the layout has one.
  """
  first = next((line for line in lines if line.strip()), "")
  names = _fields(first, separator_of(first, layout))
  if layout.header:
    if len(layout.header) != len(names):
      raise ValueError(
        f"config.data.custom.header has {len(layout.header)} names and row 1 "
        f"of {file} has {len(names)} fields; give one name per field"
      )
    plain = [re.sub(r"[\W_]", "", name).lower() for name in names]
    if [*layout.header] != names and len(WORDS & {*plain}) > 1:
      raise ValueError(
        f"row 1 of {file} looks like a header: {', '.join(names)[:60]!r}; "
        "leave config.data.custom.header empty"
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


def pieces(
  lines: Iterable[str], file: str, layout: Layout, size: int
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
  separator = separator_of(first, layout)
  names = _fields(first, separator)
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
  header |= any(mark in text for mark in MARKS)
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
          if _is_header(row, self._names):
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
    [*csv.reader(held, delimiter=separator, strict=True)]
  except csv.Error:
    return False
  return True


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
  return [_plain_name(field) for field in found]


def _is_header(row: list[str], names: list[str]) -> bool:
  """Whether a row repeats the names of the columns."""
  if names[0] not in row[0]:
    return False
  return [_plain_name(field) for field in row] == names


def looks_like_data(names: Sequence[str], columns: Sequence[Any]) -> bool:
  """Whether the names of columns are values of the same columns.

  Two names occur in their columns; or a name differs only in its digits from
  most values, as `user_1` and `user_27` do.
  """
  found = 0
  for name, column in zip(names, columns, strict=True):
    values = [*map(str, column)]
    found += name in values
    if re.search(r"\d", name) and re.search(r"[^\W\d_]", name):
      shape, some = _DIGITS.sub("0", name), values[:LOOKED_AT]
      alike = [value for value in some if _DIGITS.sub("0", value) == shape]
      found += 2 * (len({*alike}) > 1 and 2 * len(alike) > len(some))
  return found > 1


def _plain_name(field: str) -> str:
  """Returns the name of a column without outer spaces and marks."""
  return field.strip().strip(MARKS).strip()
