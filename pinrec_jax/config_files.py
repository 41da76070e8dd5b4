"""Configuration files: Python files under configs/, and JSON in a bundle."""

import dataclasses
import json
import pathlib
import runpy
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pinrec_jax import validation
from pinrec_jax.config import Config

_Section = TypeVar("_Section", bound=validation.Section)
_HERE = pathlib.Path(__file__).parent
# Inside an installed package, or beside the package in a checkout.
FOLDER = _HERE / "configs"
if not FOLDER.is_dir():
  FOLDER = _HERE.parent / "configs"


def read_config(path: str, argument: str | None = None) -> Config:
  """Returns the configuration of a file under configs/.

  Args:
    path: a file. If it does not exist, the package's own file of this name is
      read.
    argument: the text after the colon on the command line, if the file takes
      one.

  Raises:
    FileNotFoundError: naming the files that exist.
  """
  get_config = runpy.run_path(str(find_config(path)))["get_config"]
  return get_config() if argument is None else get_config(argument)


def find_config(path: str) -> pathlib.Path:
  """Returns a configuration file, or the package's own file of this name.

  Raises:
    FileNotFoundError: naming the files that exist.
  """
  given = pathlib.Path(path).expanduser()
  for file in (given, FOLDER / given.name):
    if file.is_file():
      return file
  known = ", ".join(sorted(p.name for p in FOLDER.glob("[!_]*.py")))
  raise FileNotFoundError(
    f"there is no configuration {path}; write one, or choose from {known}"
  )


def to_json(config: Any) -> str:
  """Returns a configuration as JSON."""
  return json.dumps(dataclasses.asdict(config), indent=1) + "\n"


def from_json(
  kind: type[_Section],
  text: str,
  name: str,
  only: Collection[str] | None = None,
) -> _Section:
  """Returns the configuration that `to_json` wrote.

  Args:
    kind: class of the configuration.
    text: the JSON.
    name: of the file, for errors.
    only: fields to read, as "section.field"; None reads all. All other fields
      keep their defaults, and may be unknown to this version.

  Raises:
    ValueError: if a field is unknown to this version, or the text is not JSON.
  """
  try:
    values = json.loads(text)
  except ValueError as error:
    raise ValueError(f"{name} is not valid JSON ({error})") from error
  if only is not None:
    values = _chosen(values, only)
  return _filled(kind(), values, f"{name}: config")


def _chosen(
  values: Mapping[str, Any], paths: Collection[str], section: str = ""
) -> dict[str, Any]:
  """Returns the values of some fields, in their sections."""
  found: dict[str, Any] = {}
  for name, value in values.items():
    if isinstance(value, Mapping):
      inner = _chosen(value, paths, f"{section}{name}.")
      found |= {name: inner} if inner else {}
    elif section + name in paths:
      found[name] = value
  return found


def _filled(new: _Section, values: Mapping[str, Any], path: str) -> _Section:
  """Returns a section with the given values of its fields."""
  for name, value in values.items():
    if not hasattr(new, name):
      raise ValueError(
        f"{path}.{name} is unknown to this version of pinrec_jax; use the "
        "version that wrote it"
      )
    known = getattr(new, name)
    if isinstance(known, validation.Section):
      _filled(known, value, f"{path}.{name}")
    else:
      setattr(new, name, tuple(value) if isinstance(known, tuple) else value)
  return new
