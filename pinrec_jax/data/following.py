"""A log in the names of an earlier one.

A model learns a vector for each action, surface and value of a category. Their
codes follow the log that was prepared, so a newer log may number them
differently. Here a newer log gets the codes that the model learned.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int

from pinrec_jax import files
from pinrec_jax.data import catalog as catalog_lib
from pinrec_jax.data import schema

REMEDY = "or train a new run on the log, with another --workdir"


class Names(NamedTuple):
  """The names of a log, as in `catalog.Catalog`."""

  vocabulary: schema.Vocabulary
  values: Mapping[str, Sequence[str]]
  numbers: Mapping[str, Sequence[float]]


def of_catalog(known: catalog_lib.Catalog) -> Names:
  """Returns the names of a catalog."""
  return Names(known.vocabulary, known.values, known.numbers)


def load(path: pathlib.Path) -> Names:
  """Reads names that were written as `catalog.Catalog.names`.

  Raises:
    ValueError: naming the file, if it is damaged.
  """
  found = files.read_json(path)
  try:
    vocabulary = schema.Vocabulary.of(found["vocabulary"])
    return Names(vocabulary, found["values"], found["numbers"])
  except (KeyError, TypeError) as error:
    raise ValueError(f"{path} is damaged: {error} is missing") from error


class Codes(NamedTuple):
  """The earlier code of each code of a newer log.

  Attributes:
    actions: of each earlier action, its place in the newer log; -1 is none.
    surface: earlier code of each surface; a new surface is unknown (0).
    item_type: earlier code of each item type.
    notes: number of new names, by kind of name.
  """

  actions: tuple[int, ...]
  surface: Int[np.ndarray, "s"]
  item_type: Int[np.ndarray, "t"]
  notes: dict[str, int]


def follow(
  known: catalog_lib.Catalog, names: Names
) -> tuple[catalog_lib.Catalog, Codes]:
  """Returns a newer log's catalog in earlier names.

  A new value of a category is missing (code 0), and so is a value beyond the
  slots of its feature. Dates of the splits stay those of the newer log.

  Args:
    known: the catalog of the newer log.
    names: of the earlier log.

  Returns:
    The catalog, and what `translated` needs for the events.

  Raises:
    ValueError: naming an action, item type or feature that the model cannot
      read.
  """
  own, earlier = known.vocabulary, names.vocabulary
  _require_same(known, names)
  notes: dict[str, int] = {}
  categorical = [
    _categories(known, feature, names.values, notes)
    for feature in earlier.features
  ]
  lost = {*own.surfaces} - {*earlier.surfaces}
  if lost:
    notes["new surfaces, which count as unknown"] = len(lost)
  places = {name: code for code, name in enumerate(earlier.surfaces)}
  codes = Codes(
    tuple(
      own.actions.index(name) if name in own.actions else -1
      for name in earlier.actions
    ),
    np.array([places.get(name, 0) for name in own.surfaces], np.int32),
    np.array([earlier.item_types.index(n) for n in own.item_types], np.int32),
    notes,
  )
  items = known.items._replace(
    item_type=codes.item_type[known.items.item_type],
    categorical=np.concatenate(
      [np.zeros((len(known.items.ids), 0), np.int32), *categorical], axis=1
    ),
    dense=_numbers(known, names.numbers),
  )
  vocabulary = dataclasses.replace(
    earlier,
    validation_from=own.validation_from,
    test_from=own.test_from,
    held_out=own.held_out,
  )
  return dataclasses.replace(
    known,
    vocabulary=vocabulary,
    items=items,
    values=names.values,
    numbers=names.numbers,
  ), codes


def _require_same(known: catalog_lib.Catalog, names: Names) -> None:
  """Raises ValueError for names that mean nothing to the model."""
  own, earlier = known.vocabulary, names.vocabulary
  for name in own.actions:
    if name not in earlier.actions:
      raise ValueError(
        f"the log has the action {name!r}, and the model was trained with "
        f"{', '.join(earlier.actions)}; name the actions of the model in "
        f"config.data.custom.actions, {REMEDY}"
      )
    if (name in own.outcome_names) != (name in earlier.outcome_names):
      raise ValueError(
        f"the action {name!r} is predicted in one of model and log, and read "
        "as input only in the other; set config.data.custom.actions and "
        f"signals as in the training, {REMEDY}"
      )
  for name in own.item_types:
    if name not in earlier.item_types:
      raise ValueError(
        f"the items have the item_type {name!r}, and the model was trained "
        f"with {', '.join(earlier.item_types)}; use one of them, {REMEDY}"
      )
  for field, here, there in (
    (
      "categorical features",
      [one.name for one in own.features],
      [one.name for one in earlier.features],
    ),
    ("numbers", [*known.numbers], [*names.numbers]),
  ):
    if {*here} != {*there}:
      (name, *_) = sorted({*here} ^ {*there})
      place = "the log has" if name in here else "the log lacks"
      raise ValueError(
        f"{place} {name!r} among the {field} of its items, and the model was "
        f"trained with {', '.join(there) or 'none'}; add the column, leave it "
        f'out with "{name}:ignore" in config.data.custom.column_types, {REMEDY}'
      )


def _categories(
  known: catalog_lib.Catalog,
  feature: schema.Feature,
  values: Mapping[str, Sequence[str]],
  notes: dict[str, int],
) -> Int[np.ndarray, "v g"]:
  """Returns the earlier codes of a feature; it counts the new values."""
  code_of = {value: n for n, value in enumerate(values[feature.name], start=1)}
  own = known.values[feature.name]
  table = np.array([0, *(code_of.get(value, 0) for value in own)], np.int32)
  if new := int((table[1:] == 0).sum()):
    notes[f"new values of {feature.name}, which count as missing"] = new
  codes = table[known.items.categorical[:, known.columns[feature.name]]]
  # Known values come first, so that they are kept.
  order = np.argsort(codes == 0, axis=1, kind="stable")
  codes = np.take_along_axis(codes, order, 1)[:, : feature.slots]
  return np.pad(codes, [(0, 0), (0, feature.slots - codes.shape[1])])


def _numbers(
  known: catalog_lib.Catalog, scales: Mapping[str, Sequence[float]]
) -> Float32[np.ndarray, "v f"]:
  """Returns the items' numbers, standardized as earlier.

  A standardized 0 is missing, or the mean of the newer log; it stays 0.
  """
  found, places = known.items.dense, [*known.numbers]
  if [*known.numbers.items()] == [*scales.items()]:
    return found
  columns = []
  for name, (mean, deviation) in scales.items():
    own_mean, own_deviation = known.numbers[name]
    column = found[:, places.index(name)].astype(np.float64)
    moved = (column * own_deviation + own_mean - mean) / deviation
    columns.append(np.where(column == 0, 0, moved))
  return np.stack(columns, -1).astype(np.float32)


def is_same(known: catalog_lib.Catalog, names: Names) -> bool:
  """Whether a catalog has the earlier names already."""
  earlier = dataclasses.replace(
    names.vocabulary,
    validation_from=known.vocabulary.validation_from,
    test_from=known.vocabulary.test_from,
    held_out=known.vocabulary.held_out,
  )
  # JSON has lists in place of tuples.
  return _plain(earlier, names.values, names.numbers) == _plain(
    known.vocabulary, known.values, known.numbers
  )


def _plain(vocabulary: schema.Vocabulary, *others: Any) -> list[Any]:
  return [vocabulary, *([(k, [*v]) for k, v in o.items()] for o in others)]


class Translated(Sequence[schema.Events]):
  """The events of a newer log, with earlier codes when they are read."""

  def __init__(self, events: Sequence[schema.Events], codes: Codes) -> None:
    self._events, self._codes = events, codes

  def __len__(self) -> int:
    return len(self._events)

  def __getitem__(self, place: Any) -> Any:
    if isinstance(place, slice):
      return [self[n] for n in range(*place.indices(len(self)))]
    own, codes = self._events[place], self._codes
    # The column of zeros stands for an action that the newer log lacks.
    actions = np.pad(own.actions, [(0, 0), (0, 1)])[:, list(codes.actions)]
    return dataclasses.replace(
      own,
      actions=actions,
      surface=codes.surface[own.surface],
      item_type=codes.item_type[own.item_type],
    )
