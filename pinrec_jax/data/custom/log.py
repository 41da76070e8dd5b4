"""The preparation of a custom log.

Its files are checked and written as Parquet, in pieces that are sorted by user
(`events.check`). DuckDB then joins and sorts the rows of some users at a time.
It spills to disk if they do not fit into memory.
"""

import dataclasses
import glob
import itertools
import pathlib
import shutil
import time
from collections.abc import Sequence
from concurrent import futures
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import tqdm

from pinrec_jax import config as config_lib
from pinrec_jax import files
from pinrec_jax.data import (
  catalog,
  counts,
  histories,
  merging,
  row_errors,
  schema,
  sources,
  splits,
  store,
)
from pinrec_jax.data.custom import (
  codes,
  decisions,
  events,
  inputs,
  items,
  values,
  vectors,
)
from pinrec_jax.data.custom import roles as roles_lib

MEMORY = "1500MB"  # That DuckDB may use before it spills to disk.
ROWS = 1 << 21  # Rows that are sorted at a time.
THREADS = 4  # More of them would need more memory.


class Earlier(NamedTuple):
  """A prepared log to which files are appended.

  Attributes:
    folder: of its latest day.
    inputs: files that it has read.
    catalog: items and names.
  """

  folder: pathlib.Path
  inputs: inputs.Inputs
  catalog: catalog.Catalog

  @property
  def log(self) -> decisions.Log:
    """How its rows were read."""
    names = self.catalog.vocabulary
    return decisions.Log(
      list(names.actions), names.outcomes, self.inputs.shift, self.inputs.daily
    )


def write(
  data: config_lib.Data,
  folder: pathlib.Path,
  earlier: Earlier | None = None,
) -> None:
  """Writes the catalog, the row report and the events of a custom log.

  Args:
    data: names the files.
    folder: of the prepared form; it is there if nothing fails.
    earlier: the log so far. Then only new files are read, and the prepared form
      holds their events with the codes of the log so far.

  Raises:
    ValueError: if a column is missing, too many rows are bad, or a file cannot
      be read or changes while it is read.
  """
  paths, skipped = sources.files(data.events, "events")
  if earlier:
    paths = inputs.new_files(data, earlier.inputs).events
  tables = sources.files(data.items, "items")[0] if data.items else []
  before = inputs.stamps(paths), inputs.stamps(tables)
  roles = roles_lib.of_files(paths, data.custom)
  with files.new_folder(folder) as part:
    log = _write_all(data, paths, skipped, roles, part, earlier)
    found = inputs.Inputs(
      inputs.read(paths, before[0]),
      inputs.read(tables, before[1]),
      log.shift,
      log.daily,
    )
    if earlier:
      found = found.after(earlier.inputs, earlier.folder, folder)
    found.save(part)
    store.finish(part)


def _write_all(
  data: config_lib.Data,
  paths: Sequence[pathlib.Path],
  skipped: Sequence[str],
  roles: Sequence[roles_lib.Roles],
  folder: pathlib.Path,
  earlier: Earlier | None,
) -> decisions.Log:
  starts = decisions.starts(data.custom)
  rows = folder / "rows"
  rows.mkdir()
  if data.custom.text_embedder:
    vectors.embedder(data.custom)  # Raises before the work.
  item_errors = row_errors.RowErrors()
  listed = items.read(data, item_errors) if data.items else None
  errors = _checked(paths, roles, data, rows)
  if skipped:
    errors.say(f"files of data.events that are not read: {', '.join(skipped)}")
  unread = dict.fromkeys(name for one in roles for name in one.unread)
  if unread:
    errors.say(f"columns that are not read: {', '.join(unread)}")
  if errors.rows or not earlier:  # A day may have no events.
    errors.require_good("events", data.events)
  with duckdb.connect() as database:
    database.execute(
      f"SET memory_limit = '{MEMORY}'; SET threads = {THREADS}; "
      "SET preserve_insertion_order = false; "
      f"SET temp_directory = '{_quoted(folder / 'spill')}'; CREATE VIEW rows "
      f"AS FROM read_parquet('{_quoted(glob.escape(str(rows)))}/*.parquet')"
    )
    log = decisions.decide(
      database, paths, data.custom, errors, earlier.log if earlier else None
    )
    if errors.rows or not earlier:
      errors.require_good("events", data.events)
    errors += item_errors
    errors.check(data.max_bad_fraction)
    starts = {name: moment + log.shift for name, moment in starts.items()}
    known = codes.catalog_of(
      database,
      log,
      data.custom,
      listed,
      errors,
      starts,
      earlier.catalog if earlier else None,
    )
    gaps = _write(database, log, known, folder, errors, paths)
  if not earlier:
    vocabulary = dataclasses.replace(known.vocabulary, gaps=gaps)
    known = dataclasses.replace(known, vocabulary=vocabulary)
  known.save(folder)
  errors.save(folder)
  for left in (rows, folder / "spill"):
    shutil.rmtree(left, ignore_errors=True)
  return log


def _quoted(path: object) -> str:
  return str(path).replace("'", "''")


def _checked(
  paths: Sequence[pathlib.Path],
  roles: Sequence[roles_lib.Roles],
  data: config_lib.Data,
  folder: pathlib.Path,
) -> row_errors.RowErrors:
  """Checks every file, here or by a pipeline, and returns the row errors."""
  now = time.time()
  jobs = [
    (path, number, own, data.custom, folder, now)
    for number, (path, own) in enumerate(zip(paths, roles, strict=True))
  ]
  if data.beam_options:
    try:  # Imported here, because nothing else needs Apache Beam.
      from pinrec_jax.data.custom import distributed
    except ImportError as error:
      raise ValueError(
        f"config.data.beam_options is {data.beam_options!r} and Apache Beam is "
        "not installed; install it from the folder of the repository, "
        "as: pip install '.[beam]' (EXTRAS=beam for the launch scripts)"
      ) from error
    distributed.check(jobs, data.beam_options)
  else:
    with futures.ThreadPoolExecutor(THREADS) as pool:
      done = pool.map(lambda job: events.check(*job), jobs)
      try:
        for _ in tqdm.tqdm(done, "reading", len(jobs), disable=None):
          pass
      finally:
        pool.shutdown(cancel_futures=True)
  if not paths:  # DuckDB needs a file.
    events.write_empty(folder / "000000.parquet", data.custom)
  found = [
    row_errors.RowErrors(**files.read_json(folder / f"{number:06}.json"))
    for number in range(len(paths))
  ]
  return sum(found, row_errors.RowErrors())


def _write(
  database: duckdb.DuckDBPyConnection,
  log: decisions.Log,
  known: catalog.Catalog,
  folder: pathlib.Path,
  errors: row_errors.RowErrors,
  paths: Sequence[pathlib.Path],
) -> tuple[int, ...]:
  """Writes the events, some users at a time; returns the gaps of the log."""
  extra = "".join(f', "{events.EXTRA}{name}"' for name in roles_lib.EXTRA)
  ties = "" if log.daily else "item, surface, "
  query = f"""SELECT user, row AS item, time + {log.shift} AS time,
    code AS surface, session, mask, place{extra}
  FROM good JOIN items USING (item) JOIN surfaces USING (surface)
  WHERE user >= $low AND ($high IS NULL OR user < $high)
  ORDER BY user, time NULLS FIRST, {ties}place"""
  # Whole users with about the same number of rows are sorted together.
  bounds = database.sql(f"""SELECT min(user) FROM (
    SELECT user, sum(count(*)) OVER (ORDER BY user) // {ROWS} AS part
    FROM good GROUP BY user
  ) GROUP BY part ORDER BY 1""").fetchall()
  ranges = itertools.pairwise([*(low for (low,) in bounds), None])
  gaps = counts.Counts()
  with store.writing(folder) as writer:
    for low, high in tqdm.tqdm(
      ranges, desc="sorting users", total=len(bounds), disable=None
    ):
      table = database.sql(query, params={"low": low, "high": high})
      gaps += _users(table.to_arrow_table(), log, known, writer, errors, paths)
  return splits.percentiles(gaps)


def _users(
  table: pa.Table,
  log: decisions.Log,
  known: catalog.Catalog,
  writer: store.Writer,
  errors: row_errors.RowErrors,
  paths: Sequence[pathlib.Path],
) -> counts.Counts:
  """Writes the events of some users; returns the seconds between them."""
  runs: Any = values.call("run_end_encode", [table["user"].combine_chunks()])
  names, sizes = runs.values, np.diff(runs.run_ends.to_numpy(), prepend=0)
  rows = merging.Rows.of(table, np.repeat(np.arange(len(names)), sizes))
  first, mask = np.arange(len(table)), rows.mask
  if not log.daily:
    first, mask, again = merging.merge(rows)
    shown = [decisions.place(n, paths) for n in rows.place[again[:5]].tolist()]
    errors.drop("duplicate", len(again), shown)
    merged = len(table) - len(first) - len(again)
    errors.note("rows that became one event with another", merged)
  actions = (mask[:, None] >> np.arange(len(log.actions)) & 1).astype(np.uint8)
  engaged = np.any(actions[:, : log.outcomes], axis=1)
  rows = dataclasses.replace(rows.take(first), mask=mask)
  answered = merging.answered(rows, engaged)
  errors.note(
    "impressions that became one event with the engagement they led to",
    int(answered.sum()),
  )
  kept = ~answered
  rows, table = rows.take(kept), table.take(pa.array(first[kept]))
  session: Any = table["session"].combine_chunks().dictionary_encode()
  number = session.indices.to_numpy()
  nameless = [
    n for n, name in enumerate(session.dictionary.to_pylist()) if not name
  ]
  columns = {
    "item": rows.item,
    "item_type": known.items.item_type[rows.item],
    "actions": actions[kept],
    "engaged": engaged[kept],
    "time": rows.time,
    "surface": rows.surface,
    "session": np.where(
      np.isin(number, nameless), schema.UNKNOWN_SESSION, number
    ),
  }
  for name in roles_lib.EXTRA:
    column = table[f"{events.EXTRA}{name}"]
    columns[name] = column.fill_null(schema.COLUMNS[name]["missing"]).to_numpy()
  found = histories.of_columns(columns)
  ends = np.cumsum(np.bincount(rows.user, minlength=len(names)))
  writer.add(names.to_pylist(), ends, found)
  dated = found.engaged & (found.time != schema.UNKNOWN_TIME)
  return splits.training_gaps(
    rows.user[dated], found.time[dated], known.vocabulary.validation_from
  )
