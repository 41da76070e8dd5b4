"""A run's configuration on disk, beside what was made with it."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any, TypeVar

from pinrec_jax import config as config_lib

_Section = TypeVar("_Section")


def save(config: config_lib.Config, path: pathlib.Path) -> None:
  """Writes a configuration as JSON."""
  path.write_text(json.dumps(dataclasses.asdict(config), indent=1) + "\n")


def load(path: pathlib.Path) -> config_lib.Config:
  """Returns the configuration that `save` wrote.

  Raises:
    FileNotFoundError: if there is none.
    ValueError: on a field that this version does not know.
  """
  return _filled(
    config_lib.Config(), json.loads(path.read_text()), f"{path}: config"
  )


def _filled(new: _Section, told: Mapping[str, Any], path: str) -> _Section:
  """Returns a section with the values told of its fields."""
  for name, value in told.items():
    if not hasattr(new, name):
      raise ValueError(
        f"{path}.{name} is unknown to this version; leave it out, or use the "
        "version that wrote it"
      )
    known = getattr(new, name)
    if dataclasses.is_dataclass(known):
      _filled(known, value, f"{path}.{name}")
    else:
      setattr(new, name, tuple(value) if isinstance(known, tuple) else value)
  return new
