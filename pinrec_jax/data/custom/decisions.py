"""Rules of a custom log that need all of its rows."""

import collections
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import duckdb
import pandas as pd

from pinrec_jax import config as config_lib
from pinrec_jax.data import (
  identifiers,
  row_errors,
  schema,
  sources,
)
from pinrec_jax.data.custom import events, values
from pinrec_jax.data.custom import roles as roles_lib

FOUND = 16  # Actions that a log may have if the configuration names none.
MOST = 62  # Actions that a log may have at all: one bit of a number each.
EARLY = 631_152_000  # 1990-01-01. No log of times since 1970 is so old.
SHIFT = 86_400  # Added to times that count from 0, which means no time.
SUMMER = (3600, 86_400 - 3600)  # Seconds between two clocks of one place.
DAILY = 0.9  # Fraction of the times that are days if a log has days.
QUARTER = 900  # Seconds; every time zone is a multiple of them from UTC.
RESERVED = ("unspecified",)  # Words of budgets.


class Log(NamedTuple):
  """How the rows of a log are read.

  Attributes:
    actions: names of the actions, those to predict first.
    outcomes: number of actions to predict.
    shift: seconds to add to every time.
    daily: whether times are days, so that equal times say little.
  """

  actions: list[str]
  outcomes: int
  shift: int
  daily: bool


def starts(custom: config_lib.Custom) -> dict[str, int]:
  """Returns when validation and test start; nothing without a time split.

  Raises:
    ValueError: if one of the two is not a time, or the test is not later.
  """
  if not custom.test_from and not custom.validation_from:
    return {}
  if not custom.time:
    raise ValueError(
      "config.data.custom.time is empty and test_from is "
      f"{custom.test_from!r}. A log without times cannot be split by time; "
      "leave test_from and validation_from empty, or name the column of times"
    )
  found = {}
  for field in ("validation_from", "test_from"):
    given = getattr(custom, field)
    (moment,) = values.seconds([given], custom.time_unit)
    if not moment > 0:
      raise ValueError(
        f"config.data.custom.{field} is {given!r}; give a time such as "
        "2022-05-01, or a number as in the log"
      )
    found[field] = int(moment)
  if found["validation_from"] >= found["test_from"]:
    raise ValueError(
      f"config.data.custom.validation_from is {custom.validation_from!r}, not "
      f"before test_from {custom.test_from!r}; validate before the test"
    )
  return found


def decide(
  database: duckdb.DuckDBPyConnection,
  paths: Sequence[pathlib.Path],
  custom: config_lib.Custom,
  errors: row_errors.RowErrors,
  earlier: Log | None = None,
) -> Log:
  """Finds the actions and the kind of times, and rejects rows by them.

  It makes the view `good` of the good rows, with a bit mask of their actions.

  Args:
    database: has the checked rows as `rows`.
    paths: of the files.
    custom: how they are read.
    errors: of the rows.
    earlier: how the rows of earlier days were read. Then these are read so,
      too, and a new action is bad.

  Raises:
    ValueError: if the actions of the log cannot be told.
  """
  if earlier:
    custom = dataclasses.replace(
      custom,
      actions=",".join(earlier.actions[: earlier.outcomes]),
      signals=",".join(earlier.actions[earlier.outcomes :]),
    )
  names, outcomes, table = _actions(database, custom, errors)
  database.register("actions", table)
  database.execute("CREATE VIEW known AS FROM rows JOIN actions USING (action)")
  unknown = "rows ANTI JOIN actions USING (action)"
  _reject(database, unknown, "action", "unknown action", custom, paths, errors)
  size, dated, early = _one(
    database,
    f"""SELECT count(*), count(time), count(*) FILTER (time < {EARLY})
    FROM known""",
  )
  relative = earlier.shift > 0 if earlier else 2 * early > dated
  early_rows = "false" if relative else f"coalesce(time < {EARLY}, false)"
  database.execute(f"CREATE VIEW good AS FROM known WHERE NOT {early_rows}")
  bad = f"known WHERE {early_rows}"
  _reject(database, bad, "time", "time before 1990", custom, paths, errors)
  daily = False
  if dated:
    errors.note("rows of files without times", size - dated)
    daily = _times(database, relative, custom, errors)
  elif size:
    errors.say(
      "the log has no times: its rows are in order, and sessions and time "
      "offsets are unknown"
    )
  if earlier:
    return earlier
  return Log(names, outcomes, SHIFT if dated and relative else 0, daily)


def _times(
  database: duckdb.DuckDBPyConnection,
  relative: bool,
  custom: config_lib.Custom,
  errors: row_errors.RowErrors,
) -> bool:
  """Says when the log starts and ends; returns whether its times are days."""
  first, last = _one(database, "SELECT min(time), max(time) FROM good")
  if not relative:
    errors.say(f"the log runs from {_written(first)} to {_written(last)}")
  elif custom.time_unit != "auto":
    errors.say(f"the log runs from second {first:,} to second {last:,}")
  else:
    errors.say(
      f"the log runs from {first:,} to {last:,} seconds after 1970, before "
      f"{_written(EARLY)}. Do its times count from the start of the log? Then "
      "set config.data.custom.time_unit to seconds, minutes, hours or days"
    )
  daily = _is_daily(database)
  if daily:
    errors.say(
      "the times are days: rows with equal users, items and times are kept as "
      "separate events"
    )
  return daily


def _is_daily(database: duckdb.DuckDBPyConnection) -> bool:
  """Whether nearly all times of the good rows are days, in any time zone."""
  clocks = database.sql(
    """SELECT time % 86400 AS clock, count(*) FROM good WHERE time IS NOT NULL
    GROUP BY clock ORDER BY 2 DESC, 1"""
  ).fetchall()
  (first, count), *others = clocks
  # A local day begins an hour earlier or later in summer.
  count += sum(n for clock, n in others[:1] if abs(clock - first) in SUMMER)
  return first % QUARTER == 0 and count >= DAILY * sum(n for _, n in clocks)


def _actions(
  database: duckdb.DuckDBPyConnection,
  custom: config_lib.Custom,
  errors: row_errors.RowErrors,
) -> tuple[list[str], int, pd.DataFrame]:
  """Returns the actions, how many are predicted, and the bits of each text."""
  texts = database.sql(
    "SELECT action, count(*) FROM rows GROUP BY ALL ORDER BY 2 DESC, 1"
  ).fetchall()
  outcomes, known = roles_lib.actions(custom)
  shown = {"", *schema.names(custom.shown_actions)}
  if not outcomes:
    found = collections.Counter[str]()
    for text, count in texts:
      found.update(dict.fromkeys(_parts(text), count))
    outcomes = [n for n, _ in found.most_common() if n not in {*shown, *known}]
    if not outcomes:
      raise ValueError(
        f"config.data.custom.action is {custom.action!r} and no row has an "
        f"action to predict (found: {', '.join([*found][:5]) or 'nothing'}). "
        "If every row is the same action, leave config.data.custom.action "
        "empty; else name another column, or the actions in "
        "config.data.custom.actions"
      )
    if len(outcomes) > FOUND:
      raise ValueError(
        f"config.data.custom.actions is empty and the log has {len(outcomes)} "
        f"different actions, such as {', '.join([*found][:5])}; name those to "
        f"predict, at most {FOUND}"
      )
    known = outcomes + known
    shares = [f"{name} ({found[name]:,})" for name in outcomes]
    errors.say(f"actions that are predicted: {', '.join(shares)}")
  if wrong := [n for n in known if n in RESERVED or len(known) > MOST]:
    raise ValueError(
      f"the action {wrong[0]!r} cannot be budgeted: {RESERVED[0]!r} means no "
      f"action, and a log has at most {MOST} actions; rename it in the log"
    )
  bits = {name: 1 << bit for bit, name in enumerate(known)}
  bits |= dict.fromkeys(shown - {*known}, 0)
  masks = {}
  for text, _ in texts:
    parts = [text] if text in bits else _parts(text)
    if all(part in bits for part in parts):
      masks[text] = sum(bits[part] for part in {*parts})
  table = pd.DataFrame({"action": [*masks], "mask": [*masks.values()]})
  return known, len(outcomes), table.astype({"action": str, "mask": "int64"})


def _parts(text: str) -> list[str]:
  """Returns the actions of a text; `{a,b}` is an array of PostgreSQL."""
  if text.startswith("{") and text.endswith("}"):
    text = text[1:-1]
  found = [part for own in values.split(text) for part in own.split(",")]
  return [part for part in map(identifiers.id_text, found) if part]


def _written(moment: int) -> str:
  return pd.Timestamp(moment, unit="s").strftime("%Y-%m-%d %H:%M:%S UTC")


def _one(database: duckdb.DuckDBPyConnection, query: str) -> Any:
  return database.sql(query).fetchall()[0]


def _reject(
  database: duckdb.DuckDBPyConnection,
  bad: str,
  field: str,
  reason: str,
  custom: config_lib.Custom,
  paths: Sequence[pathlib.Path],
  errors: row_errors.RowErrors,
) -> None:
  """Counts the rows of a relation as bad."""
  (count,) = _one(database, f"SELECT count(*) FROM {bad}")
  if count:
    shown = database.sql(
      f"SELECT place, {field} FROM {bad} ORDER BY place "
      f"LIMIT {row_errors.SHOWN}"
    ).fetchall()
    column = getattr(custom, field)
    errors.add(
      reason,
      count,
      [f"{place(at, paths)} {column}={value!r}" for at, value in shown],
    )


def place(number: int, paths: Sequence[pathlib.Path]) -> str:
  """Returns the file and the row of a place."""
  file, row = divmod(number, 1 << events.FILE_BITS)
  return f"{sources.name(paths[file])}:{row}"
