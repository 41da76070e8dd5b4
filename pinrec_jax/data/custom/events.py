"""Event files of a custom log, checked row by row."""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from pinrec_jax import config as config_lib
from pinrec_jax import files
from pinrec_jax.data import (
  headers,
  readers,
  row_errors,
  schema,
  sources,
)
from pinrec_jax.data.custom import roles as roles_lib
from pinrec_jax.data.custom import values

VERSION = 4  # Of the prepared form; another one is prepared again.
DAY = 86400
FILE_BITS = 40  # A place is the number of the file, then that of the row.
EXTRA, FEATURE = "extra:", "feature:"
# A group of rows of a sorted piece holds few users, so that a range of users
# is found without reading the others.
GROUP = 1 << 14


def contents(data: config_lib.Data) -> list[Any]:
  """Returns what the prepared form depends on.

  Raises:
    FileNotFoundError: if a file is missing.
    ValueError: if no file is configured.
  """
  if not data.events:
    raise ValueError(
      "config.data.events is empty; give a file, a folder or a pattern"
    )
  paths = sources.files(data.events, "events")[0]
  paths += sources.files(data.items, "items")[0] if data.items else []
  return [sources.stamps(paths), VERSION, data.custom, data.max_bad_fraction]


def check(
  path: pathlib.Path,
  number: int,
  roles: roles_lib.Roles,
  custom: config_lib.Custom,
  folder: pathlib.Path,
  now: float,
) -> row_errors.RowErrors:
  """Writes a file's good rows as Parquet, and returns the row errors.

  Each piece of the file is sorted by user. All columns are text but `time`,
  seconds, and `place`, which orders the rows of a log.

  Args:
    path: of the file.
    number: of the file in the log.
    roles: of its columns.
    custom: how they are read.
    folder: of the Parquet files.
    now: unix seconds; later times are in the future.
  """
  features = schema.names(custom.item_columns)
  wanted = [roles.user, roles.item, roles.time, roles.action, roles.surface]
  wanted += [roles.session, *roles.flags, *roles.extra, *features]
  layout = roles_lib.layout(custom)
  errors = row_errors.RowErrors()
  target = folder / f"{number:06}.parquet"
  part = folder / f".{number:06}"
  with parquet.ParquetWriter(
    part, _schema(features), compression="zstd"
  ) as out:
    for chunk in readers.chunks(path, layout, filter(None, wanted)):
      if not errors.rows and not layout.header:
        _require_header(path, chunk, roles)
      good = chunk.filter(errors)
      columns = _columns(chunk, good, roles, custom, now)
      columns["place"] = pa.array((number << FILE_BITS) + chunk.row)
      for name in features:
        columns[f"{FEATURE}{name}"] = values.texts(chunk.columns[name])
        errors.note(
          f"rows whose {name} is an object; it is missing",
          int(values.objects(chunk.columns[name])[good.good].sum()),
        )
      table = pa.table(
        [columns[name] for name in _schema(features).names], _schema(features)
      )
      table = table.filter(pa.array(good.good)).sort_by("user")
      out.write_table(table, row_group_size=GROUP)
  part.replace(target)
  # Workers of a pipeline hand the report over as a file, too.
  files.write_json(target.with_suffix(".json"), dataclasses.asdict(errors))
  return errors


def write_empty(path: pathlib.Path, custom: config_lib.Custom) -> None:
  """Writes the piece of a log without rows."""
  columns = _schema(schema.names(custom.item_columns))
  parquet.write_table(columns.empty_table(), path)


def _require_header(
  path: pathlib.Path, chunk: readers.Chunk, roles: roles_lib.Roles
) -> None:
  """Raises ValueError if the name of a column of ids is one of its ids."""
  usual = config_lib.Custom()
  for name, default in ((roles.user, usual.user), (roles.item, usual.item)):
    text = sources.format_of(path) in sources.TEXT and name != default
    if text and name in readers.python(chunk.columns[name]):
      raise headers.no_header(chunk.file, [*chunk.columns])


def _schema(features: list[str]) -> pa.Schema:
  text = ["user", "item", "surface", "session", "action"]
  kinds = dict.fromkeys(text, pa.string())
  kinds |= {"time": pa.int64(), "place": pa.int64()}
  kinds |= {f"{EXTRA}{name}": pa.float64() for name in roles_lib.EXTRA}
  kinds |= {f"{FEATURE}{name}": pa.string() for name in features}
  return pa.schema(list(kinds.items()))


def _columns(
  chunk: readers.Chunk,
  good: row_errors.RowFilter,
  roles: roles_lib.Roles,
  custom: config_lib.Custom,
  now: float,
) -> dict[str, Any]:
  """Returns a piece's columns; rows that cannot be used are rejected."""
  given, found = chunk.columns, {}
  for field in ("user", "item"):
    column = getattr(roles, field)
    found[field], bad = values.ids(given[column])
    empty = values.empty(found[field])
    good.reject(bad, f"{field} is not an id", column, given[column])
    good.reject(empty, f"no {field}", column, given[column])
  found["time"] = pa.nulls(len(chunk.row), pa.int64())
  if column := roles.time:
    moment = values.seconds(given[column], custom.time_unit)
    rows = np.flatnonzero(np.isnan(moment))
    empty = np.zeros(len(moment), bool)
    empty[rows] = values.missing(values.some(given[column], rows))
    late = custom.time_unit == "auto" and moment > now + DAY
    good.reject(empty, "no time", column, given[column])
    good.reject(np.isnan(moment), "time cannot be read", column, given[column])
    good.reject(moment < 0, "time before 1970", column, given[column])
    good.reject(late, "time in the future", column, given[column])
    # NaN is rejected.
    whole = np.floor(np.nan_to_num(moment, posinf=0)).astype(np.int64)
    found["time"] = pa.array(whole)
  for field in ("surface", "session"):
    column = getattr(roles, field)
    found[field] = (
      _names(chunk, good, field, column)
      if column
      else pa.array([""]).take(pa.array(np.zeros(len(chunk.row), int)))
    )
  for name in roles_lib.EXTRA:
    found[f"{EXTRA}{name}"] = (
      pa.array(values.numbers(given[name]), from_pandas=True)
      if name in roles.extra
      else pa.nulls(len(chunk.row), pa.float64())
    )
  found["action"] = _actions(chunk, good, roles, custom)
  return found


def _names(
  chunk: readers.Chunk, good: row_errors.RowFilter, field: str, column: str
) -> pa.StringArray:
  """Returns a column of names as text; rows with objects are rejected."""
  given = chunk.columns[column]
  good.reject(values.objects(given), f"{field} is not a name", column, given)
  return values.texts(given)


def _actions(
  chunk: readers.Chunk,
  good: row_errors.RowFilter,
  roles: roles_lib.Roles,
  custom: config_lib.Custom,
) -> pa.StringArray:
  """Returns the actions of each row as text."""
  if roles.action:
    return _names(chunk, good, "action", roles.action)
  # Which of the true/false columns are true, as one number.
  code = np.zeros(len(chunk.row), np.int64)
  for bit, name in enumerate(roles.flags):
    true, unclear = values.flags(chunk.columns[name])
    good.reject(
      unclear, "action neither true nor false", name, chunk.columns[name]
    )
    code |= true.astype(np.int64) << bit
  distinct, place = np.unique(code, return_inverse=True)
  texts = [
    values.LIST.join(
      name for bit, name in enumerate(roles.flags) if one >> bit & 1
    )
    for one in distinct.tolist()
  ]
  if not roles.flags:
    known = roles_lib.actions(custom)[1]
    texts = [(known or [roles_lib.INTERACTION])[0]] * len(distinct)
  return pa.array(texts, pa.string()).take(pa.array(place))
