"""Fields of a configuration that know what their values must be."""

import dataclasses
from collections.abc import Callable
from typing import Any


def above(bound: int, default: Any) -> Any:
  """A number that must be above another."""
  remedy = f"use a number above {bound}"
  return checked(default, lambda value: value > bound, remedy)


def least(bound: int, default: Any) -> Any:
  """A number that must not be below another."""
  remedy = f"use {bound} or more"
  return checked(default, lambda value: value >= bound, remedy)


def share(default: float) -> Any:
  """A part of a whole, never all of it."""
  remedy = "use 0 up to below 1"
  return checked(default, lambda value: 0 <= value < 1, remedy)


def one_of(*known: str) -> Any:
  """A choice; the first is the default."""
  remedy = f"choose from {', '.join(known)}"
  return checked(known[0], lambda value: value in known, remedy)


def increasing(*default: int) -> Any:
  """Edges of time, seconds."""
  # An empty list on the command line, offsets=, is read as one empty text.
  remedy = "list seconds above 0, increasing, as (60, 3600), or none, as ()"
  return checked(default, _rises, remedy)


def sizes(*default: int) -> Any:
  """Sizes of lists, one or more."""
  remedy = "list sizes above 0, increasing, as (10, 100)"
  return checked(default, lambda value: value and _rises(value), remedy)


def _rises(value: tuple[Any, ...]) -> bool:
  whole = all(isinstance(number, int) and number > 0 for number in value)
  return whole and list(value) == sorted(set(value))


def names(*default: str) -> Any:
  """Names, none of them empty."""
  return checked(
    default,
    lambda value: all(name and "," not in name for name in value),
    """list names, as ("click", "save"), or none, as ()""",
  )


def checked(default: Any, holds: Callable[[Any], bool], remedy: str) -> Any:
  """A field with what its values must be, read by `rules.validate`."""
  metadata = {"holds": holds, "remedy": remedy}
  return dataclasses.field(default=default, metadata=metadata)
