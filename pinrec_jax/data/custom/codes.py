"""The integer codes of a custom log's items and surfaces, and its catalog."""

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from jaxtyping import Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import catalog, following, growth, row_errors, schema
from pinrec_jax.data.custom import decisions, events, items


def catalog_of(
  database: duckdb.DuckDBPyConnection,
  log: decisions.Log,
  custom: config_lib.Custom,
  listed: items.Frame | None,
  errors: row_errors.RowErrors,
  starts: dict[str, int],
  earlier: catalog.Catalog | None = None,
) -> catalog.Catalog:
  """Returns the catalog of a log, and numbers its items and surfaces.

  Without an item table, all items of the events may be recommended. With one,
  only its items may be; others are read in histories. With the catalog of
  earlier days, all codes are its codes, and new items come after its items.

  Raises:
    ValueError: if the item table cannot be read, or is not of this log, or has
      names that the earlier one lacks.
  """
  described = schema.names(custom.item_columns)
  shown = _shown(database, described)
  table = shown[["item"]].assign(item_type="item")
  candidates = len(table)
  if listed is not None:
    _require_listed(shown, listed, errors)
    others = table[~table["item"].isin(listed["item"])]
    table, candidates = pd.concat([listed, others]), len(listed)
  if both := {*described} & {*table}:
    raise ValueError(
      f"config.data.custom.item_columns names {min(both)!r}, and data.items "
      "has it, too; leave it out of item_columns"
    )
  table = table.merge(shown[["item", *described]], on="item", how="left")
  table, scales = _features(table, custom, errors, earlier)
  text = table["item"].astype(object)
  table["item"] = ids = _numbers(text)
  found = catalog.encode(
    table,
    ids[:candidates],
    scales,
    actions=tuple(log.actions),
    outcomes=log.outcomes,
    surfaces=_surfaces(database),
    **starts,
  )
  names, rows = found.vocabulary.surfaces, np.arange(len(table) + 1)
  surfaces = np.arange(len(names))
  if earlier:
    found, changed = following.follow(found, following.of_catalog(earlier))
    for note, count in changed.notes.items():
      errors.note(note, count)
    found, rows = growth.grown(
      earlier, found, listed=listed is not None, described=described
    )
    surfaces = changed.surface
  _register(database, text.astype(str), rows[1:], names, surfaces)
  return found


def _register(
  database: duckdb.DuckDBPyConnection,
  ids: Any,
  rows: Int[np.ndarray, "n"],
  surfaces: Sequence[str],
  codes: Int[np.ndarray, "s"],
) -> None:
  """Makes the tables of the rows of items and of the codes of surfaces."""
  database.register("items", pd.DataFrame({"item": ids, "row": rows}))
  code_of = dict(zip(("", *surfaces), (0, *codes.tolist()), strict=True))
  numbered = {"surface": [*code_of], "code": [*code_of.values()]}
  database.register("surfaces", pd.DataFrame(numbered))


def _shown(
  database: duckdb.DuckDBPyConnection, described: Sequence[str]
) -> items.Frame:
  """Returns the items of the events, their counts and their features."""
  # Of each column, the first value that an item has.
  first = "".join(
    f', arg_min(nullif("{events.FEATURE}{name}", \'\'), place) AS "{name}"'
    for name in (name.replace('"', '""') for name in described)
  )
  shown: items.Frame = database.sql(
    f"SELECT item, count(*) AS count{first} FROM good GROUP BY item ORDER BY 1"
  ).df()
  return shown.astype(dict.fromkeys(["item", *described], object))


def _features(
  table: items.Frame,
  custom: config_lib.Custom,
  errors: row_errors.RowErrors,
  earlier: catalog.Catalog | None,
) -> tuple[items.Frame, items.Scales]:
  """Returns the features of items; no earlier feature is left out.

  A column in which no item has a value is no feature, unless it was one before.
  """
  scales = earlier.numbers if earlier else {}
  found, scales = items.features(table, custom, errors, scales)
  for feature in earlier.vocabulary.features if earlier else ():
    first = f"{feature.name}.0"
    columns = {str(name).replace(".", "_") for name in table}
    if first not in found and feature.name in columns:
      found[first] = None
  return found, scales


def _surfaces(database: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
  """Returns the names of the surfaces; the first is unknown."""
  found = database.sql(
    "SELECT DISTINCT surface FROM good ORDER BY 1"
  ).fetchall()
  names = [name for (name,) in found if name not in ("", "unknown")]
  return ("unknown", *names)


def _require_listed(
  shown: items.Frame, listed: items.Frame, errors: row_errors.RowErrors
) -> None:
  """Raises ValueError if most events name items that are not in the table."""
  lost = shown[~shown["item"].isin(listed["item"])]
  count, size = int(lost["count"].sum()), int(shown["count"].sum())
  if 2 * count > size:
    raise ValueError(
      f"{count:,} of {size:,} events name items that are not in data.items, "
      f"such as {lost['item'].iloc[0]!r}. The table has items such as "
      f"{listed['item'].iloc[0]!r}; use the same ids in both, or leave "
      "config.data.items empty"
    )
  errors.note("events of items that are not in data.items", count)


def _numbers(column: Any) -> Any:
  """Returns 64-bit integers if all ids are written so, else text."""
  if column.str.fullmatch(r"0|-?[1-9]\d{0,18}").all():
    whole = [int(value) for value in column]
    if not whole or -(2**63) <= min(whole) <= max(whole) < 2**63:
      return np.array(whole, np.int64)
  return column.to_numpy(object)
