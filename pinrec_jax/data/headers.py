"""The first line of separated text: the names of its columns, or data."""

import csv
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

SEPARATORS = (",", "\t", ";", "|")
# Separators of files whose first line has none of SEPARATORS. Hive writes the
# last one.
RARE_SEPARATORS = (":", " ", "^", "~", "\x01")
MARKS = "\ufeff\u200b"  # Byte order mark and zero-width space.
# Names of columns, without signs. Two of them in a line make it a header.
WORDS = frozenset(
  (
    "user", "userid", "item", "itemid", "productid", "time", "timestamp",
    "datetime", "eventtype", "sessionid",
  )
)  # fmt: skip
LOOKED_AT = 1000  # Rows whose values are compared with the header.
LARGE = 10_000  # No column has a number as large as this for a name.
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_DIGITS = re.compile(r"\d+")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class Layout(NamedTuple):
  """How a file of separated text is written.

  Attributes:
    header: names of the columns of a file without a header line.
    separator: between fields; empty finds it in the first line.
    columns: names that a header line should have, to find its separator.
  """

  header: tuple[str, ...] = ()
  separator: str = ""
  columns: tuple[str, ...] = ()


DEFAULT = Layout()


def header(lines: Iterable[str], file: str, layout: Layout) -> list[str]:
  """Returns the names of the columns.

  Raises:
    ValueError: if the first line looks like data, or like a header although
      the layout has one, or if its separator is ambiguous.
  """
  first = next((line for line in lines if line.strip()), "")
  names = fields_of(first, separator_of(first, file, layout))
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
  numbers = [name for name in names if NUMBER.fullmatch(name)]
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


def separator_of(line: str, file: str, layout: Layout) -> str:
  """Returns the separator of a file, from its first line.

  A separator that gives the number of fields or the names that the layout
  expects is better than others. Of equally good ones, the most frequent one is
  chosen.

  Raises:
    ValueError: if two separators are equally good.
  """
  if layout.separator:
    return layout.separator
  unquoted = re.sub('"[^"]*"', "", line)

  def _merit(separator: str) -> tuple[bool, int]:
    names = fields_of(line, separator)
    expected = {*layout.columns} <= {*names}
    if layout.header:
      expected = len(names) == len(layout.header)
    return expected, unquoted.count(separator)

  # Without any of them, the line may be the name of the only column.
  found = [mark for mark in SEPARATORS if mark in unquoted] or [
    ",", *(mark for mark in RARE_SEPARATORS if mark in unquoted)
  ]  # fmt: skip
  best = max(map(_merit, found))
  chosen = [mark for mark in found if _merit(mark) == best]
  if len(chosen) > 1:
    raise ValueError(
      f"row 1 of {file} may be separated by {' or '.join(map(repr, chosen))}: "
      f"{line.strip()[:60]!r}; write the file with a separator that is no part "
      "of a name or a value"
    )
  return chosen[0]


def is_header(row: list[str], names: list[str]) -> bool:
  """Whether a row repeats the names of the columns."""
  if names[0] not in row[0]:
    return False
  return [plain_name(field) for field in row] == names


def fields_of(line: str, separator: str) -> list[str]:
  """Returns the fields of a header line without outer spaces."""
  found = next(csv.reader([line.rstrip("\r\n")], delimiter=separator), [])
  return [plain_name(field) for field in found]


def plain_name(field: str) -> str:
  """Returns the name of a column without outer spaces and marks."""
  return field.strip().strip(MARKS).strip()
