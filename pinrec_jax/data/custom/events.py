"""The events of a user's own log, checked row by row."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pinrec_jax import config as config_lib
from pinrec_jax.data import readers, row_errors, schema
from pinrec_jax.data.custom import columns

DAY = 86400
TRUE, FALSE = ("1", "true", "yes", "1.0"), ("", "0", "false", "no", "0.0")
KEY = ["user", "item", "time", "surface"]  # equal: the same event
ANSWER = 1800  # seconds from an impression to what comes of it, at most
# Columns of a log beside its actions.
TAKEN = (*KEY, "session", "file", "row", "engaged", "context", "item_type")


def names(own: config_lib.Custom) -> tuple[list[str], list[str]]:
  """Returns the actions to aim at, and all of them.

  Raises:
    ValueError: if there is none, or one twice.
  """
  aimed, signals = schema.names(own.actions), schema.names(own.signals)
  if not aimed or len({*aimed, *signals}) < len(aimed + signals):
    raise ValueError(
      f"config.data.custom.actions is {own.actions!r} and signals "
      f"{own.signals!r}; name each action once, those to aim at in actions"
    )
  if taken := {*aimed, *signals} & {*TAKEN}:
    raise ValueError(
      f"config.data.custom.actions and signals name {min(taken)!r}, which every "
      "log has a column of; call the action something else"
    )
  return aimed, aimed + signals


def read(
  path: pathlib.Path, place: int, own: config_lib.Custom, now: float
) -> Iterator[tuple[columns.Frame, row_errors.RowErrors]]:
  """Yields a file's good rows in chunks, and what was wrong with the others.

  Args:
    path: of the file.
    place: of the file among those read; rows are ordered by it.
    own: what its columns mean.
    now: unix seconds; what is later than a day from then is in the future.
  """
  wanted = columns.needed(own) | {*([] if own.action else names(own)[1])}
  for chunk in readers.chunks(path):
    faults = row_errors.RowErrors()
    chunk = readers.with_keys(path, chunk, wanted)
    sieve = row_errors.RowFilter(chunk, faults)
    if not len(chunk.frame):  # perhaps without columns
      yield pd.DataFrame({"user": []}), faults
      continue
    good = _good(sieve, own, now)
    yield good.assign(file=place, row=chunk.row[sieve.good]), faults


def whole(
  rows: columns.Frame, own: config_lib.Custom, files: Sequence[str]
) -> tuple[columns.Frame, row_errors.RowErrors]:
  """Returns a log of whole users, and what was wrong with its rows.

  Args:
    rows: every good row of some users, in any order.
    own: what the columns mean.
    files: names of the files, by their place.

  Returns:
    the log as for `records.examples`, but for ids and surfaces as text.
  """
  aimed, actions = names(own)
  faults = row_errors.RowErrors()
  rows = rows.sort_values(["file", "row"], kind="stable", ignore_index=True)
  log = _once(rows, actions, files, faults)
  log["engaged"] = log[aimed].any(axis=1)
  answered = _answered(log, actions)
  if answered.any():
    faults.note(
      "impressions made one with the engagement they led to",
      int(answered.sum()),
    )
    log = log[~answered].reset_index(drop=True)
  # One of no name is numbered -1.
  session = log["session"].astype(object).replace("", None)
  log["session"] = pd.factorize(session)[0]
  return log.drop(columns=["file", "row"]), faults


def _good(
  sieve: row_errors.RowFilter, own: config_lib.Custom, now: float
) -> columns.Frame:
  """Returns a chunk's good rows."""
  frame, file = sieve.chunk.frame, sieve.chunk.file
  found: dict[str, Any] = {}
  for field in ("user", "item"):
    column = columns.named(frame, file, own, field)
    found[field] = columns.text(frame[column])
    sieve.reject(found[field] == "", f"no {field}", column)
  found["time"] = np.full(len(frame), np.nan)
  if column := columns.named(frame, file, own, "time"):
    moment = columns.seconds(frame[column])
    sieve.reject(columns.text(frame[column]) == "", "no time", column)
    sieve.reject(np.isnan(moment), "time cannot be read", column)
    sieve.reject(moment < 1, "time before 1970", column)
    sieve.reject(moment > now + DAY, "time in the future", column)
    found["time"] = np.floor(moment)
  for field in ("surface", "session"):
    column = columns.named(frame, file, own, field)
    found[field] = columns.text(frame[column]) if column else ""
  found |= _acted(sieve, own)
  return pd.DataFrame(found)[sieve.good]


def _acted(
  sieve: row_errors.RowFilter, own: config_lib.Custom
) -> dict[str, Any]:
  """Returns for each action which rows have it."""
  _, actions = names(own)
  frame, file = sieve.chunk.frame, sieve.chunk.file
  if column := columns.named(frame, file, own, "action"):
    value = columns.text(frame[column])
    known = ["", *schema.names(own.shown_actions), *actions]
    sieve.reject(~value.isin(known), "unknown action", column)
    return {name: value == name for name in actions}
  found = {}
  for name in actions:
    if name not in frame:
      raise ValueError(
        f"config.data.custom.action is empty, so each action has a column, and "
        f"{file} has none named {name!r} but {', '.join(map(str, frame))}"
      )
    value = columns.text(frame[name]).str.lower()
    unclear = ~value.isin([*TRUE, *FALSE])
    sieve.reject(unclear, "action neither true nor false", name)
    found[name] = value.isin(TRUE)
  return found


def _answered(log: columns.Frame, actions: list[str]) -> columns.Column:
  """Returns which rows only show what an engagement at once answers.

  It is of the same user, item and surface. Such a row would tell what is to be
  predicted, and is not shown in vain.
  """
  shown = ~log[actions].any(axis=1) & log["time"].notna()
  if not shown.any():
    return shown
  where = ["user", "item", "surface"]
  ordered = log[shown | log["engaged"]].sort_values(KEY, kind="stable")
  acted = ordered["time"].where(ordered["engaged"])
  acted = acted.groupby([ordered[name] for name in where]).bfill()
  return shown & (acted - ordered["time"] <= ANSWER).reindex(
    log.index, fill_value=False
  )


def _once(
  log: columns.Frame,
  actions: list[str],
  files: Sequence[str],
  faults: row_errors.RowErrors,
) -> columns.Frame:
  """Returns the log without duplicates; actions at one moment are one event.

  Without times nothing says that two rows are the same event.
  """
  dated = log["time"].notna()
  again = dated & log.duplicated([*KEY, *actions])
  places = log.loc[again, ["file", "row"]].itertuples(index=False)
  told = (f"{files[file]}:{row}" for file, row in places)
  faults.add("duplicate", int(again.sum()), told)
  log = log[~again].reset_index(drop=True)
  same = log["time"].notna() & log.duplicated(KEY)
  if same.any():
    faults.note("rows made one event with another", int(same.sum()))
    merged = log.groupby(KEY, sort=False)[actions].any()
    log = log.drop(columns=actions)[~same].join(merged, on=KEY)
  return log.reset_index(drop=True)
