"""The JSON form of requests, and its decoding."""

import contextlib
import functools
import json
import math
import re
import reprlib
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec
import numpy as np

from pinrec_jax.data import (
  identifiers,
)
from pinrec_jax.decode import budget as budget_lib

Id: TypeAlias = int | float | str
_Struct = TypeVar("_Struct", bound=msgspec.Struct)
EXAMPLE = '{"user": "u1", "events": [{"item": 7}]}'


class EventFields(msgspec.Struct, forbid_unknown_fields=True):
  """One event of a request, as it is written.

  Attributes:
    item: the item's id.
    actions: names of actions.
    surface: name of the surface.
    time: unix seconds.
    shown_only: whether the event is not an engagement, as an impression or a
      dislike.
    item_type: type of an item that the catalog does not have.
    features: categorical features of such an item, by name.
  """

  item: Id
  actions: list[str] | None = None
  surface: str | None = None
  time: float | None = None
  shown_only: bool | None = None
  item_type: str | None = None
  features: dict[str, Id | list[Id] | None] | None = None


class FilterFields(msgspec.Struct, forbid_unknown_fields=True):
  """Which items may be in the list of a request.

  Attributes:
    exclude: ids of items to leave out.
    include: ids of the only items that may be in the list.
    item_types: names of the item types that may be in it.
    attributes: for each named feature, values of which an item must have one.
  """

  exclude: list[Id] | None = None
  include: list[Id] | None = None
  item_types: list[str] | None = None
  attributes: dict[str, Id | list[Id]] | None = None


class RequestFields(msgspec.Struct, forbid_unknown_fields=True):
  """One request, as it is written. Every field but `user` may be left out.

  Attributes:
    user: the user's id.
    events: the history, oldest event first.
    context: one more event, the query or item that the request is made with.
    budget: share of the candidates for each outcome.
    surface: condition: name of a surface.
    item_type: condition: name of an item type.
    offsets: condition: seconds ahead; -1 is the next event.
    age: condition: target age in seconds before the end of training.
    steps: generation steps.
    candidates: length of the list.
    filters: which items may be in it.
  """

  user: Id
  events: list[EventFields] | None = None
  context: EventFields | None = None
  budget: dict[str, float] | str | None = None
  surface: str | None = None
  item_type: str | None = None
  offsets: list[int] | None = None
  age: int | None = None
  steps: int | None = None
  candidates: int | None = None
  filters: FilterFields | None = None


_decoder = functools.cache(msgspec.json.Decoder)
_INNER = {
  "events": EventFields, "context": EventFields, "filters": FilterFields,
}  # fmt: skip


class _Budget(msgspec.Struct):
  """The budget of a request, not decoded yet."""

  budget: msgspec.Raw = msgspec.Raw(b"null")


def decode(given: Any) -> RequestFields:
  """Returns the fields of a request; see `decode_as`."""
  fields = decode_as(RequestFields, given)
  if isinstance(fields.budget, dict) and isinstance(given, str | bytes):
    with contextlib.suppress(msgspec.DecodeError):  # The last name would count.
      found: _Budget = _decoder(_Budget).decode(given)
      json.loads(bytes(found.budget), object_pairs_hook=_each_once)
  return fields


def _each_once(pairs: list[tuple[str, Any]]) -> None:
  budget_lib.require_once([name for name, _ in pairs], "budget")


def decode_as(kind: type[_Struct], given: Any) -> _Struct:
  """Returns the fields of a struct.

  Args:
    kind: the struct.
    given: JSON as text or bytes, or a mapping, which may hold NumPy values.

  Raises:
    ValueError: naming the field at fault and its value.
    RecursionError: if the JSON is nested too deeply.
  """
  if isinstance(given, str | bytes):
    try:
      return _decoder(kind).decode(given)
    except ValueError as error:
      # The standard library also reads NaN and lone surrogates. So the error
      # can name their field.
      try:
        value: Any = json.loads(given)
      except ValueError:
        example = f"; write {EXAMPLE}" if kind is RequestFields else ""
        raise ValueError(f"it is not valid JSON ({error}){example}") from error
  elif isinstance(given, Mapping):
    value = _plain(given)
  else:
    raise ValueError(
      f"it is {reprlib.repr(given)}; give JSON text or a mapping such as "
      f"{EXAMPLE}"
    )
  try:
    return msgspec.convert(value, kind)
  except msgspec.ValidationError as error:
    raise ValueError(_explained(str(error), value, kind)) from error


def id_text(value: Id, field: str) -> str:
  """Returns an id as text: 4214, 4214.0, "4214" and " 4214" are the same.

  Args:
    value: the id.
    field: its field, for errors.

  Raises:
    ValueError: if the id is missing, not finite, or not UTF-8 text.
  """
  if isinstance(value, float) and not math.isfinite(value):
    raise ValueError(f"{field} is {value}; give a number or a text")
  try:
    text = identifiers.id_text(value)
    if not text.isascii():
      text.encode()
  except ValueError as error:  # Lone surrogates, or thousands of digits.
    raise ValueError(f"{field} is not UTF-8 text ({error})") from error
  if not text:
    shown = "empty" if not str(value).strip() else f"{value!r}, no value"
    raise ValueError(f"{field} is {shown}; give an id")
  return text


def _plain(value: Any) -> Any:
  """Returns a value with plain Python ones in place of NumPy's."""
  if isinstance(value, Mapping):
    return {_plain(key): _plain(inner) for key, inner in value.items()}
  if isinstance(value, list | tuple):
    return [_plain(inner) for inner in value]
  if isinstance(value, np.generic | np.ndarray):
    return value.tolist()
  return value


def _explained(message: str, value: Any, kind: type[msgspec.Struct]) -> str:
  """Returns a validation error with the path and the value at fault."""
  problem, _, path = message.partition(" - at `")
  problem = problem[:1].lower() + problem[1:]
  # "[...]" stands for some value of a mapping, which is then shown whole.
  path = path.rpartition("$")[2].partition("[...]")[0].strip("`.")
  for index, name in re.findall(r"\[(\d+)\]|([^.\[\]]+)", path):
    value = value[int(index)] if index else value[name]
  if "unknown field" in problem:
    kind = _INNER.get(re.split(r"[.\[]", path)[0], kind)
    problem += f"; choose from {', '.join(kind.__struct_fields__)}"
  elif "missing required field" in problem and kind is RequestFields:
    problem += f"; write {EXAMPLE}"
  return f"{path or 'the request'} is {reprlib.repr(value)}: {problem}"
