"""The events of a user's own log, checked row by row."""

import time
from typing import Any

import numpy as np
import pandas as pd

from pinrec_jax import config as config_lib
from pinrec_jax.data import checks, schema
from pinrec_jax.data.own import columns

DAY = 86400
TRUE, FALSE = ("1", "true", "yes", "1.0"), ("", "0", "false", "no", "0.0")
KEY = ["user", "item", "time", "surface"]  # equal: the same event


def read(config: config_lib.Data, faults: checks.Faults) -> columns.Frame:
  """Returns the log, as for `records.examples`; ids and surfaces are text.

  Raises:
    ValueError: if a column is missing or nothing good is left.
  """
  own, now = config.own, time.time()
  aimed, signals = schema.names(own.actions), schema.names(own.signals)
  if not aimed or len({*aimed, *signals}) < len(aimed + signals):
    raise ValueError(
      f"config.data.own.actions is {own.actions!r} and signals "
      f"{own.signals!r}; name each action once, those to aim at in actions"
    )
  log = checks.sieved(
    config.events,
    "events",
    lambda sieve: _good(sieve, own, aimed + signals, now),
    faults,
  )
  log = _once(log, aimed + signals, faults)
  log["engaged"] = log[aimed].any(axis=1)
  # One of no name is numbered -1.
  log["session"] = pd.factorize(log["session"].replace("", None))[0]
  return log.drop(columns="place")


def _good(
  sieve: checks.Sieve, own: config_lib.Own, actions: list[str], now: float
) -> columns.Frame:
  """Returns a chunk's good rows."""
  frame, file = sieve.chunk.frame, sieve.chunk.file
  found: dict[str, Any] = {"place": sieve.places()}
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
  found |= _acted(sieve, own, actions)
  return pd.DataFrame(found)[sieve.good]


def _acted(
  sieve: checks.Sieve, own: config_lib.Own, actions: list[str]
) -> dict[str, Any]:
  """Returns for each action which rows have it."""
  frame, file = sieve.chunk.frame, sieve.chunk.file
  if column := columns.named(frame, file, own, "action"):
    value = columns.text(frame[column])
    known = ["", *schema.names(own.shown), *actions]
    sieve.reject(~value.isin(known), "unknown action", column)
    return {name: value == name for name in actions}
  found = {}
  for name in actions:
    if name not in frame:
      raise ValueError(
        f"config.data.own.action is empty, so each action has a column, and "
        f"{file} has none named {name!r} but {', '.join(map(str, frame))}"
      )
    value = columns.text(frame[name]).str.lower()
    unclear = ~value.isin([*TRUE, *FALSE])
    sieve.reject(unclear, "action neither true nor false", name)
    found[name] = value.isin(TRUE)
  return found


def _once(
  log: columns.Frame, actions: list[str], faults: checks.Faults
) -> columns.Frame:
  """Returns the log without duplicates; actions at one moment are one event.

  Without times nothing says that two rows are the same event.
  """
  dated = log["time"].notna()
  again = dated & log.duplicated([*KEY, *actions])
  faults.add("duplicate", int(again.sum()), log.loc[again, "place"])
  log = log[~again].reset_index(drop=True)
  same = log["time"].notna() & log.duplicated(KEY)
  if same.any():
    faults.note("rows made one event with another", int(same.sum()))
    merged = log.groupby(KEY, sort=False)[actions].any()
    log = log.drop(columns=actions)[~same].join(merged, on=KEY)
  return log.reset_index(drop=True)
