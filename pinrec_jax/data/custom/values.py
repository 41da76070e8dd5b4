"""Values of a user's own columns, whatever their types."""

import ast
import json
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Float, Int
from pyarrow import compute

from pinrec_jax.data import (
  identifiers,
)

# Arrow makes its functions when it is loaded, which hides them from pyright.
call: Any = compute.call_function
Column = Any  # An Arrow array, or a list of the Python values of JSON.

SEPARATOR = "|"  # Between the values of a list in the user's own text.
LIST = "\x1f"  # Between the values of a list that we write as text.
EXACT = 2**53  # From here on a float cannot hold every whole number.
TRUE, FALSE = ("1", "true", "yes"), ("", "0", "false", "no")
UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
# A larger number since 1970 is one of milli-, micro- or nanoseconds.
MILLI, MICRO, NANO = 1e11, 1e14, 1e17
# Whole numbers such as 20231114, by their smallest and largest value.
DATES = {
  "%Y": (1990, 2100),
  "%Y%m": (199_001, 210_012),
  "%Y%m%d": (19_900_101, 21_001_231),
  "%Y%m%d%H%M": (199_001_010_000, 210_012_312_359),
  "%Y%m%d%H%M%S": (19_900_101_000_000, 21_001_231_235_959),
}
_NUMPY = re.compile(r"(['\"])\s+\1")  # Between texts of a NumPy array.
_ZONE = re.compile(r"(?<=\d)\s*(UTC|GMT|Z)$")
# "UTC+8" is eight hours ahead; POSIX and pandas read it the other way round.
_AHEAD = re.compile(r"\s*(?:UTC|GMT) ?([+-])(\d\d?)(?::?(\d\d))?$")
_OFFSET = re.compile(r"\s*([+-]\d\d:?\d\d)( UTC| GMT)?$")
# With the name of a month, or year-month-day and a time of twelve hours.
_NAMED = re.compile(
  r"[A-Za-z]{3}.*\b\d{4}\b|\b\d{4}\b.*[A-Za-z]{3}|^\d{4}-\d\d?-.*[AaPp][Mm]$"
)
_SLASHES = re.compile(r"^(\d{4})/(\d\d?)/(\d\d?)")


def mapped(
  column: Column, function: Callable[[Any], str | None]
) -> pa.StringArray:
  """Applies a function of ids to a column, once to equal values."""
  values, place = column, None
  if isinstance(column, pa.Array):
    if pa.types.is_integer(column.type):  # `id_text` writes them so, too.
      return column.cast(pa.string()).fill_null("")
    try:
      found: Any = column.dictionary_encode()
    except pa.ArrowNotImplementedError:  # Lists and structs.
      values = column.to_pylist()
    else:
      values = [*found.dictionary.to_pylist(), None]
      place = found.indices.fill_null(len(values) - 1)
  texts = pa.array([function(value) for value in values], pa.string())
  return texts if place is None else texts.take(place)


def ids(column: Column) -> tuple[pa.StringArray, Bool[np.ndarray, "_"]]:
  """Returns ids as text, missing ones as "", and which values are not ids.

  Lists, objects and truth values are not ids, and no text of a list or object
  is. Nor are texts of several lines, or floats that are so large that their
  last digits are lost.
  """
  found = mapped(column, _id)
  bad = found.is_null().to_numpy(zero_copy_only=False)
  return found.fill_null(""), bad


def _id(value: Any) -> str | None:
  if isinstance(value, bool | list | dict):
    return None
  if isinstance(value, float) and abs(value) >= EXACT:
    return None
  if isinstance(value, str):
    value = value.strip()
    if "\n" in value or _is_nested(value):
      return None
  return identifiers.id_text(value)


def _is_nested(text: str) -> bool:
  """Whether a text is a list or an object, in Python or JSON."""
  if not text.startswith(("[", "{")):
    return False
  return text[0] + text[-1] in ("[]", "{}") and _literal(text) is not None


def texts(column: Column) -> pa.StringArray:
  """Returns values as text, lists joined by LIST; "" for missing and objects.

  `objects` says which values are objects.
  """
  return mapped(column, lambda value: _text(value) or "")


def objects(column: Column) -> Bool[np.ndarray, "_"]:
  """Returns which values are objects, or lists of them: neither is a text."""
  if isinstance(column, pa.Array) and not pa.types.is_nested(column.type):
    return np.zeros(len(column), bool)
  return mapped(column, _text).is_null().to_numpy(zero_copy_only=False)


def _text(value: Any) -> str | None:
  if isinstance(value, dict):
    return None
  if isinstance(value, list):
    found = [_text(inner) for inner in value]
    return None if None in found else LIST.join(filter(None, found))
  return identifiers.id_text(value)


def some(column: Column, rows: Int[np.ndarray, "_"]) -> Column:
  """Returns some values of a column."""
  if isinstance(column, pa.Array):
    return column.take(pa.array(rows))
  return [column[row] for row in rows]


def missing(column: Column) -> Bool[np.ndarray, "_"]:
  """Returns which values are missing."""
  if isinstance(column, pa.Array) and _is_number(column.type):
    return column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
  return empty(texts(column)) & ~objects(column)


def empty(column: pa.StringArray) -> Bool[np.ndarray, "_"]:
  """Returns which texts are empty."""
  return call("equal", [column, pa.scalar("")]).to_numpy(zero_copy_only=False)


def split(text: str) -> list[str]:
  """Returns the values of a list that is written as text.

  LIST or SEPARATOR is between them, or it is a Python, JSON or NumPy list.
  """
  if text.startswith("[") and text.endswith("]"):
    found = _literal(_NUMPY.sub(r"\1, \1", text))
    if isinstance(found, list):
      return [*filter(None, map(_text, found))]
  parts = text.split(LIST if LIST in text else SEPARATOR)
  return [part for part in map(identifiers.id_text, parts) if part]


def _literal(text: str) -> Any:
  """Returns the value of a Python or JSON literal; None for other text."""
  for read in (json.loads, ast.literal_eval):
    try:
      return read(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
      continue
  return None


def flags(
  column: Column,
) -> tuple[Bool[np.ndarray, "_"], Bool[np.ndarray, "_"]]:
  """Returns which values mean true, and which are neither true nor false."""
  if isinstance(column, pa.Array) and pa.types.is_boolean(column.type):
    true = column.fill_null(False).to_numpy(zero_copy_only=False)
    return true, np.zeros(len(true), bool)
  found = pd.Series(texts(column).to_pandas()).str.lower()
  true = found.isin(TRUE).to_numpy()
  return true, ~true & ~found.isin(FALSE).to_numpy()


def numbers(column: Column) -> Float[np.ndarray, "_"]:
  """Returns finite numbers; NaN for all other values."""
  if isinstance(column, pa.Array) and _is_number(column.type):
    found = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
  else:
    text = isinstance(column, pa.Array) and pa.types.is_string(column.type)
    plain = column if text else texts(column)
    found = pd.to_numeric(plain.to_pandas(), errors="coerce")
  found = np.array(found, float)
  found[~np.isfinite(found)] = np.nan
  return found


def _is_number(kind: Any) -> bool:
  types = pa.types
  return (
    types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
  )


def seconds(column: Column, unit: str = "auto") -> Float[np.ndarray, "_"]:
  """Returns the seconds since 1970; NaN where a time cannot be read.

  Args:
    column: numbers, texts, dates or timestamps. Without a time zone they are
      UTC. Dates may be numbers such as 20231114 or 20231114221320.
    unit: of numbers. "auto" is seconds, milli-, micro- or nanoseconds,
      according to their size.
  """
  kind = column.type if isinstance(column, pa.Array) else pa.null()
  if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
    micros = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    return np.array(micros.to_numpy(zero_copy_only=False), float) / 1e6
  found = numbers(column)
  if unit == "auto":
    _scale(found)
  else:
    found *= UNITS[unit]
  if not _is_number(kind):
    rows = np.flatnonzero(np.isnan(found))
    other: Any = texts(some(column, rows)).to_pandas().set_axis(rows)
    other = other[other != ""]
    if len(other):
      found[other.index] = _since_1970(other)
  return found


def _scale(found: Float[np.ndarray, "_"]) -> None:
  """Turns numbers into seconds since 1970, by their size."""
  there = found[~np.isnan(found)]
  for form, (low, high) in DATES.items():
    dates = (there >= low) & (there <= high) & (there % 1 == 0)
    if len(there) and np.mean(dates) > 0.5:
      texts = [f"{value:.0f}" for value in np.unique(there)]
      read = pd.to_datetime(pd.Series(texts), format=form, errors="coerce")
      # Other numbers of this size are hardly ever dates.
      if read.notna().mean() > 0.5:
        of = dict(zip(texts, _seconds(read.dt.tz_localize("UTC")), strict=True))
        found[:] = [of.get(f"{value:.0f}", np.nan) for value in found]
        return
  size = np.abs(found)
  for bound, factor in ((MILLI, 1e3), (MICRO, 1e3), (NANO, 1e3)):
    found[size >= bound] /= factor


def _since_1970(column: Any) -> Float[np.ndarray, "_"]:
  """Returns the seconds of times that are written as text.

  They are ISO 8601, year/month/day, or have the name of the month. Other forms
  are ambiguous, as 01/02/2023 is.
  """
  text = column.str.replace(_AHEAD, _ahead, regex=True)
  text = text.str.replace(_OFFSET, r"\1", regex=True)
  text = text.str.replace(_ZONE, "Z", regex=True)
  text = text.str.replace(_SLASHES, r"\1-\2-\3", regex=True)
  read = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
  left = text[read.isna() & text.str.contains(_NAMED)]
  with warnings.catch_warnings():
    warnings.simplefilter("error")  # Such as an unknown time zone.
    for place, value in left.items():
      try:
        read[place] = pd.to_datetime(value, utc=True)
      except (ValueError, OverflowError, Warning):
        continue
  return _seconds(read)


def _ahead(found: re.Match[str]) -> str:
  return f"{found[1]}{found[2]:0>2}:{found[3] or '00'}"


def _seconds(column: Any) -> Float[np.ndarray, "_"]:
  micros = column.dt.as_unit("us").astype("int64") / 1e6
  return micros.where(column.notna()).to_numpy()
