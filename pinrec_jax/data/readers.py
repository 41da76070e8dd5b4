"""Tables of any common format, in pieces, each row with its number."""

import codecs
import io
import itertools
import json
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int
from pyarrow import compute, parquet

from pinrec_jax.data import (
  headers,
  json_lines,
  row_errors,
  separated,
  sources,
)

# Arrow makes its functions when it is loaded, which hides them from pyright.
kernels: Any = compute
ROWS = 1 << 18  # Rows of a piece.
OBJECT = "not a JSON object"


class Chunk(NamedTuple):
  """Some rows of a file.

  Attributes:
    file: name of the file, for messages.
    row: number of each row in the file; a header counts.
    columns: Arrow arrays by name; a column of several types, as JSON may have,
      is a list. Separated text has texts only.
    broken: rows that cannot be read.
  """

  file: str
  row: Int[np.ndarray, "_"]
  columns: dict[str, Any]
  broken: Sequence[separated.Broken]

  def filter(self, errors: row_errors.RowErrors) -> row_errors.RowFilter:
    """Counts the rows, and rejects those that cannot be read."""
    errors.rows += len(self.row) + sum(broken.lines for broken in self.broken)
    for broken in self.broken:
      shown = f"{self.file}:{broken.row} {broken.text}"
      errors.add(broken.reason, broken.lines, [shown])
    return row_errors.RowFilter(errors, self.file, self.row)


def columns(
  path: pathlib.Path, layout: headers.Layout = headers.DEFAULT
) -> list[str]:
  """Returns the names of a file's columns, repeated ones included.

  "a.b" is field b of a Parquet struct a, or key b of a JSON object a. A JSON
  file is read as a whole, since an object need not have the keys of the others.

  Raises:
    ValueError: if the file cannot be read.
  """
  found = _inner_columns(path, layout)
  return found + [key for key in sources.partitions(path) if key not in found]


def _inner_columns(path: pathlib.Path, layout: headers.Layout) -> list[str]:
  """Returns the names of a file's columns, without those of its folders.

  Raises:
    ValueError: if the file cannot be read, or no line is a JSON object.
  """
  with _Naming(path):
    if sources.format_of(path) == ".parquet":
      with parquet.ParquetFile(path) as file:
        found = [*_fields(file.schema_arrow)]
    elif sources.format_of(path) in sources.TEXT:
      with _text(path) as lines:
        found = headers.header(lines, sources.name(path), _layout(path, layout))
    else:
      with _text(path) as lines:
        found = json_lines.keys(lines)
      if not found:
        raise ValueError(
          f"no line of {path} is a JSON object; write one object per line, or "
          "one array of objects"
        )
  return found


def _fields(schema: Any, outer: str = "") -> Iterator[str]:
  """Yields the names of columns; those of a struct are dotted."""
  for field in schema:
    yield outer + field.name
    if pa.types.is_struct(field.type):
      yield from _fields(field.type, f"{outer}{field.name}.")


def _layout(path: pathlib.Path, layout: headers.Layout) -> headers.Layout:
  """Returns the layout of a file; tabs separate the fields of .tsv."""
  if sources.format_of(path) == ".tsv":
    return layout._replace(separator="\t")
  return layout


def chunks(
  path: pathlib.Path,
  layout: headers.Layout = headers.DEFAULT,
  wanted: Iterable[str] | None = None,
) -> Iterator[Chunk]:
  """Yields a file's rows in order.

  Args:
    path: of the file.
    layout: of separated text.
    wanted: names of the columns to read; None reads all.

  Raises:
    ValueError: if the file as a whole cannot be read.
  """
  own = sources.partitions(path)
  read = columns(path, layout) if wanted is None else [*dict.fromkeys(wanted)]
  if {*own} & {*read}:  # A column of the file has precedence.
    inner = _inner_columns(path, layout)
    own = {key: value for key, value in own.items() if key not in inner}
  inside = [key for key in read if key not in own]
  with _Naming(path):
    if sources.format_of(path) == ".parquet":
      pieces = _parquet(path, inside)
    elif sources.format_of(path) in sources.TEXT:
      pieces = _separated(path, layout, inside)
    else:
      pieces = _lines(path, inside)
    for row, found, broken in pieces:
      for key in [key for key in read if key in own]:
        found[key] = pa.array([own[key]] * len(row), pa.string())
      yield Chunk(sources.name(path), row, found, broken)


def python(column: Any) -> list[Any]:
  """Returns the Python values of a column."""
  return column.to_pylist() if isinstance(column, pa.Array) else column


class _Naming:
  """Turns what goes wrong while a file is read into an error that names it."""

  def __init__(self, path: pathlib.Path):
    self._path = path

  def __enter__(self) -> None:
    pass

  def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
    wrong = (pa.ArrowException, OSError, EOFError, UnicodeError)
    if isinstance(error, (*wrong, json.JSONDecodeError, RecursionError)):
      raise ValueError(
        f"{self._path} cannot be read: {error}; write the file again, text as "
        "UTF-8"
      ) from error


_Pieces = Iterator[tuple[Any, dict[str, Any], Sequence[separated.Broken]]]


def _parquet(path: pathlib.Path, wanted: list[str]) -> _Pieces:
  first = 1
  with parquet.ParquetFile(path) as file:
    for batch in file.iter_batches(batch_size=ROWS, columns=wanted):
      found = {key: _nested(batch, key) for key in wanted}
      yield first + np.arange(len(batch)), found, []
      first += len(batch)


def _nested(batch: pa.RecordBatch, key: str) -> pa.Array:
  """Returns a column; "a.b" is field b of a struct a."""
  if key in batch.schema.names:
    return batch[key]
  outer, *inner = key.split(".")
  column: Any = batch[outer]
  for part in inner:
    column = kernels.struct_field(column, part)
  return column


def _separated(
  path: pathlib.Path, layout: headers.Layout, wanted: list[str]
) -> _Pieces:
  layout = _layout(path, layout)
  with _text(path) as lines:
    names = headers.header(lines, sources.name(path), layout)
  with _text(path) as lines:
    pieces = separated.pieces(lines, sources.name(path), layout, ROWS)
    for numbers, columns, broken in pieces:
      found: dict[str, Any] = {
        key: column
        if isinstance(column, pa.Array)
        else pa.array(column, pa.string())
        for key, column in zip(names, columns, strict=True)
      }
      start = numbers and numbers[0] <= 2 and not layout.header
      values = (
        [column.to_pylist() for column in found.values()] if start else []
      )
      if start and headers.looks_like_data([*found], values):
        raise headers.no_header(sources.name(path), names)
      yield np.array(numbers, int), {key: found[key] for key in wanted}, broken


def _lines(path: pathlib.Path, wanted: list[str]) -> _Pieces:
  with _text(path) as lines:
    objects = json_lines.objects(lines)
    while part := list(itertools.islice(objects, ROWS)):
      good = [(row, value) for row, value in part if isinstance(value, dict)]
      broken = [
        separated.Broken(row, OBJECT, str(value)[:40])
        for row, value in part
        if not isinstance(value, dict)
      ]
      found = {
        key: _arrow([json_lines.value_at(value, key) for _, value in good])
        for key in wanted
      }
      yield np.array([row for row, _ in good], int), found, broken


def _arrow(values: list[Any]) -> Any:
  """Returns values of one type as an Arrow array, others as they are."""
  try:
    return pa.array(values)
  except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
    return values


def _text(path: pathlib.Path) -> io.TextIOWrapper:
  """Opens text: UTF-8 or UTF-16, with or without a byte order mark."""
  codec = sources.PACKED.get(path.suffix.lower())

  def _opened() -> Any:
    file = pa.OSFile(str(path))
    return pa.CompressedInputStream(file, codec) if codec else file

  with _opened() as file:
    wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
  encoding = "utf-16" if wide else "utf-8-sig"
  return io.TextIOWrapper(_opened(), encoding=encoding, newline="")
