"""The JSON form of requests, and its decoding."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
import numpy as np

from pinrec_jax.data import (
  identifiers,
)

id_text = identifiers.id_text  # Requests write ids as logs do.
Id: TypeAlias = int | float | str
SHOWN = 60  # Characters of a bad value that an error shows.


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
  features: dict[str, Id | list[Id]] | None = None


class RequestFields(msgspec.Struct, forbid_unknown_fields=True):
  """One request, as it is written. Every field but `user` may be left out.

  Attributes:
    user: the user's id.
    id: of the request. Sampled feedback depends on it and on the user.
    events: the history, oldest event first.
    context: one more event, the query or item that the request is made with.
    budget: share of the candidates for each outcome.
    surface: condition: name of a surface.
    item_type: condition: name of an item type.
    offsets: condition: seconds ahead; -1 is the next event.
    age: condition: target age in seconds before the end of training.
    steps: generation steps.
    candidates: length of the list.
  """

  user: Id
  id: Id = ""
  events: list[EventFields] | None = None
  context: EventFields | None = None
  budget: dict[str, float] | str | None = None
  surface: str | None = None
  item_type: str | None = None
  offsets: list[int] | None = None
  age: int | None = None
  steps: int | None = None
  candidates: int | None = None


_DECODER = msgspec.json.Decoder(RequestFields)


def decode(given: str | bytes | Mapping[str, Any]) -> RequestFields:
  """Returns the fields of a request.

  Args:
    given: JSON, or a mapping, which may hold NumPy values.

  Raises:
    ValueError: naming the field at fault and its value.
  """
  if isinstance(given, Mapping):
    given = msgspec.json.encode(given, enc_hook=_plain)
  try:
    return _DECODER.decode(given)
  except msgspec.ValidationError as error:
    raise ValueError(_explained(str(error), given)) from error
  except msgspec.DecodeError as error:
    raise ValueError(
      f"it is not valid JSON ({error}); write "
      '{"user": "u1", "events": [{"item": 7}]}'
    ) from error


def _plain(value: Any) -> Any:
  """Returns NumPy values as plain ones, for the JSON encoder."""
  if isinstance(value, np.generic | np.ndarray):
    return value.tolist()
  raise TypeError(f"{value!r} of type {type(value).__name__} is not JSON")


def _explained(message: str, given: str | bytes) -> str:
  """Returns a validation error with the path and the value at fault."""
  problem, _, path = message.partition(" - at `$")
  path = path.rstrip("`").lstrip(".")
  value: Any = msgspec.json.decode(given)
  for part in path.replace("[", ".[").split("."):
    if part.startswith("["):
      index = part.strip("[]")
      value = value[int(index)] if index.isdigit() else value
    elif part:
      value = value[part] if isinstance(value, dict) else value
  text = msgspec.json.encode(value).decode()
  text = text if len(text) <= SHOWN else text[:SHOWN] + "..."
  problem = problem[:1].lower() + problem[1:]
  return f"{path or 'the request'} is {text}: {problem}"
