"""Items of a custom log and their features."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pinrec_jax import config as config_lib
from pinrec_jax.data import (
  catalog,
  headers,
  identifiers,
  readers,
  row_errors,
  schema,
  sources,
)
from pinrec_jax.data.custom import roles as roles_lib
from pinrec_jax.data.custom import values, vectors

Frame = Any  # pandas types the parts of a table as unions.
Scales = Mapping[str, Sequence[float]]
SLOTS = 5  # Values of a category that are kept.


def typed(custom: config_lib.Custom, kind: str) -> list[str]:
  """Returns the item columns of a type, as `column_types` names them."""
  pairs = [part.rpartition(":") for part in schema.names(custom.column_types)]
  return [name.strip() for name, _, found in pairs if found.strip() == kind]


def read(data: config_lib.Data, errors: row_errors.RowErrors) -> Frame:
  """Returns the item table as it is; ids are text.

  Raises:
    ValueError: if a column is missing or no row is good.
  """
  paths, skipped = sources.files(data.items, "items")
  if skipped:
    errors.say(f"files of data.items that are not read: {', '.join(skipped)}")
  layout = headers.Layout(columns=(data.custom.item,))
  found = row_errors.RowErrors()
  parts = []
  for path in paths:
    names = readers.columns(path, layout)
    _require(names, sources.name(path), data)
    names = _read(names, data.custom)
    for chunk in readers.chunks(path, layout, names):
      good = chunk.filter(found)
      ids, bad = values.ids(chunk.columns[data.custom.item])
      shown = chunk.columns[data.custom.item]
      good.reject(bad, "item is not an id", data.custom.item, shown)
      empty = (ids.to_pandas() == "").to_numpy(bool)
      good.reject(empty, "no item", data.custom.item, shown)
      columns = {name: readers.python(c) for name, c in chunk.columns.items()}
      kind = columns.pop(data.custom.item_type, None)
      del columns[data.custom.item]
      frame = pd.DataFrame(
        {
          "item": ids.to_pandas(),
          "item_type": "item"
          if kind is None
          else [identifiers.id_text(value) or "item" for value in kind],
          "\0place": good.places(range(len(chunk.row))),
          **columns,
        },
        dtype=object,
      )
      parts.append(frame[good.good])
  found.require_good("items", data.items)
  table: Frame = pd.concat(parts, ignore_index=True)
  again = table["item"].duplicated()
  found.drop("item listed before", int(again.sum()), table["\0place"][again])
  vars(errors).update(vars(errors + found))
  return table[~again].drop(columns="\0place").reset_index(drop=True)


def _read(names: list[str], custom: config_lib.Custom) -> list[str]:
  """Returns the columns that are read; the fields of an object are columns."""
  kinds = ("number", "vector", "text", "category")
  ignored = typed(custom, "ignore")
  title = _title_column([n for n in names if n not in ignored], custom)
  chosen = {custom.item, custom.item_type, title}
  chosen |= {name for kind in kinds for name in typed(custom, kind)}
  return [
    name
    for name in names
    if name in chosen
    or (
      "*" not in ignored
      and not any(f"{name}.".startswith(f"{other}.") for other in ignored)
    )
  ]


def _require(names: list[str], file: str, data: config_lib.Data) -> None:
  """Raises ValueError, naming every column that is missing or misleading."""
  custom, problems = data.custom, []
  wanted = {custom.item: "item"}
  if custom.item_type != config_lib.Custom().item_type:
    wanted[custom.item_type] = "item_type"
  for kind in ("number", "vector", "text", "category", "title", "ignore"):
    wanted |= dict.fromkeys(typed(custom, kind), "column_types")
  wanted.pop("*", None)
  from_events = schema.names(custom.item_columns)
  for name, field in wanted.items():
    if name not in names and name not in from_events:
      near = roles_lib.nearest(field, name, names)
      hint = f"the nearest is {' or '.join(map(repr, near))}; " if near else ""
      problems.append(
        f"config.data.custom.{field} names {name!r}, and {file} has no such "
        f"column; {hint}it has {', '.join(names)}"
      )
  for name in names:
    if names.count(name) > 1:
      problems.append(f"{file} has the column {name!r} twice; rename one")
  for name in {"item", "item_type"} & {*names} - {*wanted, custom.item_type}:
    if not {name, "*"} & {*typed(custom, "ignore")}:
      problems.append(
        f"{file} has a column {name!r}, which config.data.custom.{name} does "
        f'not name; rename it, or add "{name}:ignore" to '
        "config.data.custom.column_types"
      )
  if problems:
    raise ValueError("\n".join(dict.fromkeys(problems)))


def features(
  table: Frame,
  custom: config_lib.Custom,
  errors: row_errors.RowErrors,
  scales: Scales,
) -> tuple[Frame, Scales]:
  """Returns an item table as `catalog.encode` takes it, and its scales.

  Args:
    table: `item`, `item_type` and any other columns; None is missing.
    custom: types of the columns.
    errors: where values that cannot be read are counted.
    scales: mean and standard deviation of numbers by name, as an earlier item
      table had them. Those of other numbers are of this table.

  Raises:
    ValueError: if a column cannot be a feature.
  """
  found: dict[str, Any] = {n: table[n] for n in ("item", "item_type")}
  title = _title(table, custom, errors)
  if title:
    found[catalog.TITLE] = table[title].map(identifiers.id_text)
  used: dict[str, Sequence[float]] = {}
  for name in typed(custom, "number"):
    number = pd.Series(values.numbers([*table[name]]), index=table.index)
    given = np.array([bool(identifiers.id_text(v)) for v in table[name]], bool)
    errors.note(
      f"items whose {name} is not a number; it is missing",
      int((number.isna() & given).sum()),
    )
    mean, deviation = used[name] = scales.get(name) or _scale(number)
    found[f"{catalog.NUMBER}{name}"] = (number - mean).fillna(0.0) / deviation
  for name in typed(custom, "vector"):
    parsed = table[name].map(vectors.parsed).astype(object)
    given = np.array([bool(identifiers.id_text(v)) for v in table[name]], bool)
    errors.note(
      f"items whose {name} is not a vector of finite numbers; it is missing",
      int((parsed.isna() & given).sum()),
    )
    found |= vectors.columns(parsed, name)
  for name in typed(custom, "text") if custom.text_embedder else ():
    found |= vectors.columns(vectors.embedded(table[name], custom), name)
  known = {"item", "item_type"}.union(
    *(typed(custom, kind) for kind in ("number", "vector", "text"))
  )
  if title not in typed(custom, "category"):
    known.add(title)
  for name in (name for name in table if name not in known):
    if all(isinstance(v, dict) for v in table[name] if v is not None):
      continue  # The fields of the objects are columns of their own.
    found |= _category(table[name], str(name), {*found}, errors)
  return pd.DataFrame(found), used


def _scale(number: Any) -> tuple[float, float]:
  """Returns the mean and the standard deviation, 1 for a constant."""
  mean, deviation = float(number.mean()), float(number.std())
  return (
    mean if np.isfinite(mean) else 0.0,
    deviation if np.isfinite(deviation) and deviation else 1.0,
  )


def _title_column(names: list[str], custom: config_lib.Custom) -> str:
  """Returns the column of titles, as it is typed or usually named, or ""."""
  return next(iter(typed(custom, "title")), "") or roles_lib.title(names)


def _title(
  table: Frame, custom: config_lib.Custom, errors: row_errors.RowErrors
) -> str:
  """Returns the column of titles and reports it; "" if there is none.

  Raises:
    ValueError: if the configured column is missing.
  """
  names = [name for name in table if name not in ("item", "item_type")]
  found = _title_column(names, custom)
  if found and found not in names:
    raise ValueError(
      f'config.data.custom.column_types has "{found}:title", and the item '
      f"columns are {', '.join(names)}; name one of them, or leave it out"
    )
  if found:
    errors.say(
      f"titles are read from the item column {found!r}, for people and not for "
      f'the model; "{found}:category" in config.data.custom.column_types makes '
      "it a feature, too"
    )
  return found


def _category(
  column: Any, name: str, taken: set[str], errors: row_errors.RowErrors
) -> dict[str, Any]:
  """Returns the columns of a categorical feature, one a slot."""
  lists = column.map(_categories)
  errors.note(
    f"items whose {name} is an object; it is missing",
    int(values.objects([*column]).sum()),
  )
  # A dot separates a feature from its slot.
  feature = name.replace(".", "_")
  if f"{feature}." == catalog.NUMBER or f"{feature}.0" in taken:
    raise ValueError(
      f"the items' column {name!r} would be the feature {feature!r}, which is "
      f'taken; rename the column, or add "{name}:ignore" to '
      "config.data.custom.column_types"
    )
  sizes = lists.map(len)
  errors.note(
    f"items with more than {SLOTS} values of {name}; the first {SLOTS} are "
    "kept",
    int((sizes > SLOTS).sum()),
  )
  slots = range(min(int(sizes.max()), SLOTS))
  return {f"{feature}.{slot}": lists.str.get(slot) for slot in slots}


def _categories(value: Any) -> list[str]:
  """Returns the values of a category that an item has."""
  if isinstance(value, str):
    return values.split(value)
  if not isinstance(value, list | tuple | np.ndarray):
    value = [value]
  plain = (one for one in value if not isinstance(one, dict))
  return [text for text in map(identifiers.id_text, plain) if text]
