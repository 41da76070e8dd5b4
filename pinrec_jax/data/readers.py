"""Tables of any common format, in chunks, each row with its place."""

import contextlib
import functools
import glob
import io
import itertools
import json
import pathlib
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Int
from pyarrow import csv, parquet

ROWS = 1 << 18  # in a chunk
BYTES = 1 << 24  # of separated text in one
FORMATS = {".csv": ",", ".tsv": "\t", ".jsonl": "", ".ndjson": "", ".json": ""}
FIELDS, OBJECT = "wrong number of fields", "no JSON object"  # faults of a row
PACKED = (".gz", ".bz2", ".zst", ".lz4")


class Chunk(NamedTuple):
  """Some rows of a file, as it wrote them; text where the format has no types.

  Rows that cannot be read at all are told apart.
  """

  file: str
  row: Int[np.ndarray, "_"]  # counted from 1, a header included
  frame: pd.DataFrame
  broken: list[tuple[int, str, str]]  # row, the reason, and what it is


def files(pattern: str, field: str) -> list[pathlib.Path]:
  """Returns the files that a path, a folder or a pattern stands for, sorted.

  Raises:
    FileNotFoundError: if there is none; names the field of the configuration.
    ValueError: if a file is of no known format.
  """
  path = pathlib.Path(pattern).expanduser()
  found = [path]
  if path.is_dir():
    found = [p for p in path.iterdir() if p.is_file() and p.name[0] != "."]
  elif not path.is_file():
    found = [pathlib.Path(p) for p in glob.glob(str(path), recursive=True)]
  if not found:
    raise FileNotFoundError(
      f"config.data.{field} is {pattern!r} and there is no such file; give a "
      "file, a folder or a pattern such as logs/*.parquet"
    )
  for one in found:
    _format(one)
  return sorted(found)


def _format(path: pathlib.Path) -> str:
  """Returns the ending that tells a file's format, compression aside."""
  endings = [e for e in path.suffixes if e not in PACKED]
  ending = endings[-1] if endings else ""
  if ending not in (*FORMATS, ".parquet"):
    raise ValueError(
      f"{path} is of no known format; use {', '.join(FORMATS)} (each may be "
      f"compressed: {', '.join(PACKED)}) or .parquet"
    )
  return ending


def chunks(path: pathlib.Path) -> Iterator[Chunk]:
  """Yields a file's rows in order.

  Raises:
    ValueError: if the file as a whole cannot be read.
  """
  ending = _format(path)
  try:
    if ending == ".parquet":
      yield from _parquet(path)
    elif separator := FORMATS[ending]:
      yield from _separated(path, separator)
    else:
      yield from _lines(path)
  except (pa.ArrowException, OSError, EOFError, UnicodeError) as error:
    raise ValueError(
      f"data file {path} is corrupt: {error}; write it again"
    ) from error


def _parquet(path: pathlib.Path) -> Iterator[Chunk]:
  first = 1
  with parquet.ParquetFile(path) as file:
    for batch in file.iter_batches(batch_size=ROWS):
      # Integers stay so beside missing ones: an id is no float.
      frame = batch.to_pandas(integer_object_nulls=True, ignore_metadata=True)
      yield Chunk(path.name, first + np.arange(len(frame)), frame, [])
      first += len(frame)


def _separated(path: pathlib.Path, separator: str) -> Iterator[Chunk]:
  broken: dict[int, str] = {}

  def skip(row: csv.InvalidRow) -> str:
    columns = f"{row.actual_columns} fields and not {row.expected_columns}"
    broken[row.number] = f"has {columns}"
    return "skip"

  # Rows are numbered only where one thread reads.
  read = csv.ReadOptions(use_threads=False, block_size=BYTES)
  parse = csv.ParseOptions(
    delimiter=separator, newlines_in_values=True, invalid_row_handler=skip
  )
  with _opened(path) as file, csv.open_csv(file, read, parse) as header:
    text = dict.fromkeys(header.schema.names, pa.string())
  broken.clear()
  convert = csv.ConvertOptions(column_types=text)
  first = 2
  with (
    _opened(path) as file,
    csv.open_csv(file, read, parse, convert) as batches,
  ):
    for batch in batches:
      # Later rows may be known as broken already.
      rows = np.arange(first, first + batch.num_rows + len(broken))
      rows = np.setdiff1d(rows, list(broken))[: batch.num_rows]
      first = int(rows[-1]) + 1 if rows.size else first
      ended = [number for number in broken if number < first]
      lost = [(n, FIELDS, broken.pop(n)) for n in ended]
      yield Chunk(path.name, rows, batch.to_pandas(), lost)
  none = pd.DataFrame(columns=[*text])
  lost = [(number, FIELDS, what) for number, what in broken.items()]
  yield Chunk(path.name, np.zeros(0, int), none, lost)


def _opened(path: pathlib.Path) -> contextlib.AbstractContextManager[Any]:
  return pa.input_stream(str(path), compression="detect")


def with_keys(
  path: pathlib.Path, chunk: Chunk, wanted: Collection[str]
) -> Chunk:
  """Returns a chunk with the columns that other rows of its file have.

  An object need not have the keys of every other: where it lacks one, its
  value is missing.
  """
  absent = [name for name in wanted if name not in chunk.frame]
  if not absent or _format(path) in (".parquet", ".csv", ".tsv"):
    return chunk
  keys = _keys(path, path.stat().st_mtime_ns)
  there = [name for name in absent if name in keys]
  columns = [*chunk.frame, *there]
  return chunk._replace(frame=chunk.frame.reindex(columns=columns))


@functools.lru_cache(maxsize=1)
def _keys(path: pathlib.Path, written: int) -> frozenset[str]:
  """Returns all keys of a file's objects, as it was written last."""
  return frozenset().union(*(chunk.frame.columns for chunk in chunks(path)))


def _lines(path: pathlib.Path) -> Iterator[Chunk]:
  with _opened(path) as packed:
    lines = enumerate(io.TextIOWrapper(packed, encoding="utf-8"), start=1)
    while part := list(itertools.islice(lines, ROWS)):
      told, rows, broken = [], [], []
      for number, line in part:
        if not line.strip():
          continue
        try:
          value = json.loads(line)
        except ValueError:
          value = None
        if isinstance(value, dict):
          told.append(value)
          rows.append(number)
        else:
          broken.append((number, OBJECT, line.strip()[:40]))
      # As objects: an integer beside a missing one stays an integer.
      frame = pd.DataFrame(told, dtype=object)
      yield Chunk(path.name, np.array(rows, int), frame, broken)
