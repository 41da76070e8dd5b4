"""Columns of a user's own tables, whatever their types."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float, Shaped
from pyarrow import compute

from pinrec_jax import config as config_lib
from pinrec_jax.data import schema

# Pandas types the parts of a table as unions that hardly a call accepts.
Frame = Any
Column = Any

# Above these a number of seconds since 1970 is one of milli-, microseconds.
MILLI, MICRO = 1e11, 1e14


def named(frame: Frame, file: str, own: config_lib.Custom, field: str) -> str:
  """Returns the name of a column; empty if there is none and none is needed.

  Raises:
    ValueError: if it is named in the configuration, or needed, and absent.
  """
  name = getattr(own, field)
  if name in frame or (not name and field not in ("user", "item")):
    return name
  usual = getattr(config_lib.Custom(), field)
  if name == usual and field in ("surface", "session", "item_type"):
    return ""
  raise ValueError(
    f"config.data.custom.{field} is {name!r} and {file} has the columns "
    f"{', '.join(map(str, frame))}; name one of them"
  )


def needed(own: config_lib.Custom) -> set[str]:
  """Returns the names of the columns that a file must have."""
  usual = config_lib.Custom()
  optional = {
    getattr(own, field)
    for field in ("surface", "session")
    if getattr(own, field) != getattr(usual, field)
  }
  return {own.user, own.item, own.time, own.action, *optional} - {""}


def typed(own: config_lib.Custom, kind: str) -> list[str]:
  """Returns the item columns of a type, as `column_types` names them."""
  pairs = [part.rpartition(":") for part in schema.names(own.column_types)]
  return [name.strip() for name, _, found in pairs if found.strip() == kind]


def one(own: config_lib.Custom, kind: str) -> str:
  """Returns the item column of a type of which there is one; else ""."""
  return (typed(own, kind) or [""])[0]


def text(column: Column) -> Column:
  """Returns values as text without outer spaces; missing ones are ""."""
  kinds = pd.api.types
  if kinds.is_integer_dtype(column) or isinstance(
    column.dtype, pd.StringDtype
  ):  # the usual ones, without an object a value
    array = pa.array(column, from_pandas=True).cast(pa.string())
    # Made when it is loaded, so that the type checker does not see it.
    array = compute.call_function("utf8_trim_whitespace", [array.fill_null("")])
    return pd.Series(array.to_pandas(), index=column.index)
  missing = column.isna()
  found = column.astype(object).where(~missing, "").astype(str).str.strip()
  # Of the same type as above: pieces of one column are written together.
  return pd.Series(pa.array(found, pa.string()).to_pandas(), index=column.index)


def seconds(column: Column) -> Float[np.ndarray, "_"]:
  """Returns unix seconds, NaN where a time cannot be read.

  Args:
    column: seconds, milli- or microseconds since 1970, told apart by their
      size; ISO 8601 text, UTC unless it says otherwise; or timestamps.
  """
  if pd.api.types.is_datetime64_any_dtype(column):
    return _since_1970(pd.to_datetime(column, utc=True))
  read: Column = pd.to_numeric(column, errors="coerce")
  number = read.to_numpy(float, copy=True)
  number[~np.isfinite(number)] = np.nan
  size = np.abs(number)
  number /= np.where(size >= MICRO, 1e6, np.where(size >= MILLI, 1e3, 1.0))
  other = np.isnan(number) & (text(column) != "").to_numpy()
  if other.any():
    read = pd.to_datetime(
      column[other].astype(str), format="ISO8601", utc=True, errors="coerce"
    )
    number[other] = _since_1970(read)
  return number


def _since_1970(column: Column) -> Float[np.ndarray, "_"]:
  return (column - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy()


def ids(column: Column) -> Shaped[np.ndarray, "_"]:
  """Returns 64-bit integers if all ids are written so, else text."""
  if column.str.fullmatch(r"0|-?[1-9]\d{0,18}").all():
    whole = [int(value) for value in column]
    if not whole or -(2**63) <= min(whole) <= max(whole) < 2**63:
      return np.array(whole, np.int64)
  return column.to_numpy(object)
