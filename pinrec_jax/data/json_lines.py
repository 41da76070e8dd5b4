"""JSON lines: their objects, and the keys of them."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

SPACE = " \t\r\n\ufeff"  # With the mark of a file that was appended.


def objects(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
  """Yields the objects of JSON lines, or of a file that is one JSON array.

  A line that is not an object is its text.
  """
  numbered = enumerate(lines, start=1)
  for number, line in numbered:
    text = line.strip(SPACE)
    if number == 1 and text.startswith("[") and not text.endswith("]"):
      rest = "".join(line for _, line in numbered)
      yield from enumerate(_JSON.decode(text + rest), start=1)
      return
    if text:
      try:
        value: Any = _JSON.decode(text)
      except ValueError:
        value = text
      whole = number == 1 and isinstance(value, list) and value
      if whole and all(isinstance(one, dict) for one in value):
        yield from enumerate(value, start=1)
      else:
        yield number, value if isinstance(value, dict) else text


def keys(lines: Iterable[str]) -> list[str]:
  """Returns the keys of all objects, those of inner objects dotted."""
  found: list[str] = []
  shapes = set()
  for _, value in objects(lines):
    shape = (*value,) if isinstance(value, dict) else ()
    inner = any(isinstance(value[key], dict) for key in shape)
    if inner or shape not in shapes:
      shapes.add(shape)
      found += [key for key in _keys(value) if key not in found]
  return found


def value_at(value: Any, key: str) -> Any:
  """Returns the value at a key, or at a dotted key of an inner object."""
  if key in value:
    return value[key]
  outer, _, inner = key.partition(".")
  found = value.get(outer)
  return value_at(found, inner) if inner and isinstance(found, dict) else None


def _keys(value: Any) -> Iterator[str]:
  """Yields the keys of an object, those of inner objects dotted."""
  for key, own in value.items() if isinstance(value, dict) else ():
    yield key
    yield from (f"{key}.{inner}" for inner in _keys(own))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  """Returns a JSON object; raises JSONDecodeError if a key is there twice."""
  found = dict(pairs)
  if len(found) < len(pairs):
    raise json.JSONDecodeError("a key is there twice", str(pairs)[:80], 0)
  return found


_JSON = json.JSONDecoder(object_pairs_hook=_unique)
