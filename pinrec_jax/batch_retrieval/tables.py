"""The Parquet files of lists and of bad rows, and their counts.

docs/operations.md describes the columns.
"""

import dataclasses
import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pinrec_jax.batch_retrieval import shards
from pinrec_jax.inference import answers

LISTS, ERRORS = "lists", "errors"  # Folders.
ABOUT = b"pinrec_jax.shard"  # Key of a file's metadata.
_SHARES = pa.map_(pa.string(), pa.float64())
_SOURCE = [("file", pa.string()), ("line", pa.int64())]
_ANSWER = [
  ("model_step", pa.int64()),
  ("bundle", pa.string()),
  ("budget", _SHARES),
  ("achieved", _SHARES),
  ("index", pa.int64()),
  ("exact", pa.bool_()),
  ("history", pa.string()),
  ("events_read", pa.int32()),
  ("events_dropped", pa.int32()),
  ("unknown_items", pa.list_(pa.string())),
]
_ERROR = [
  *_SOURCE,
  ("user", pa.string()),
  ("error", pa.string()),
  ("request", pa.binary()),
]


class Done(NamedTuple):
  """A finished shard.

  Attributes:
    shard: the shard.
    users: number of lists.
    bad: number of bad rows.
  """

  shard: shards.Shard
  users: int
  bad: int


def path(folder: str, shard: shards.Shard) -> str:
  """Returns the name of a shard's file in the folder of all lists."""
  return f"{folder}/{shard.name}.parquet"


def candidates_type(ids: np.ndarray) -> pa.StructType:
  """Returns the type of a candidate.

  Args:
    ids: the ids of all items.
  """
  whole = np.issubdtype(ids.dtype, np.integer)
  return pa.struct(
    [
      ("item", pa.int64() if whole else pa.string()),
      ("outcome", pa.string()),
      ("offset", pa.int64()),
      ("step", pa.int32()),
      ("score", pa.float64()),
    ]
  )


def lists(
  source: str,
  lines: Sequence[int],
  found: Sequence[answers.Answer],
  candidate: pa.StructType,
) -> pa.RecordBatch:
  """Returns the lists of some requests.

  Args:
    source: their file.
    lines: their lines.
    found: their answers.
    candidate: type of a candidate.
  """
  every = [one for answer in found for one in answer.candidates]
  # Fields are written out, as there are hundreds of candidates per request.
  values = (
    [one.item for one in every],
    [one.outcome for one in every],
    [one.offset for one in every],
    [one.step for one in every],
    [one.score for one in every],
  )
  columns = [
    pa.array(own, field.type)
    for own, field in zip(values, candidate, strict=True)
  ]
  ends = np.cumsum([0, *(len(one.candidates) for one in found)])
  own = [
    pa.array([_value(getattr(one, name)) for one in found], kind)
    for name, kind in _ANSWER
  ]
  first = [
    pa.array([source] * len(found), pa.string()),
    pa.array(lines, pa.int64()),
    pa.array([one.user for one in found], pa.string()),
    pa.ListArray.from_arrays(
      pa.array(ends, pa.int32()),
      pa.StructArray.from_arrays(columns, fields=[*candidate]),
    ),
  ]
  return pa.record_batch([*first, *own], schema=lists_schema(candidate))


def _value(value: Any) -> Any:
  return [*value.items()] if isinstance(value, dict) else value


def lists_schema(candidate: pa.StructType) -> pa.Schema:
  """Returns the columns of lists."""
  head = [*_SOURCE, ("user", pa.string()), ("candidates", pa.list_(candidate))]
  return pa.schema([*head, *_ANSWER])


def errors(
  source: str, rows: Sequence[tuple[shards.Row, answers.Failure]]
) -> pa.Table:
  """Returns bad rows with their errors."""
  found = [
    {
      "file": source,
      "line": row.line,
      "user": failure.user,
      "error": failure.error,
      "request": row.given if isinstance(row.given, bytes) else None,
    }
    for row, failure in rows
  ]
  return pa.Table.from_pylist(found, pa.schema(_ERROR))


def encoded(table: pa.Table, done: Done) -> bytes:
  """Returns a Parquet file, which names its shard."""
  about = dataclasses.asdict(done.shard) | {
    "users": done.users, "bad": done.bad,
  }  # fmt: skip
  table = table.replace_schema_metadata({ABOUT: json.dumps(about)})
  sink = io.BytesIO()
  pq.write_table(table, sink, compression="zstd")
  return sink.getvalue()


def done(file: Any) -> Done | None:
  """Returns what an open Parquet file of lists says of itself.

  Returns:
    None, if the file is damaged or has another origin.
  """
  try:
    about = json.loads((pq.read_schema(file).metadata or {})[ABOUT])
    users, bad = about.pop("users"), about.pop("bad")
    return Done(shards.Shard(**about), users, bad)
  except (KeyError, OSError, TypeError, ValueError):  # As of Arrow, too.
    return None
