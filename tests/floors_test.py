"""The package is built in floors, and an import points only downwards."""

import ast
import pathlib

import pinrec_jax

ROOT = pathlib.Path(pinrec_jax.__file__).parent
FLOORS = {
  **dict.fromkeys(("__init__", "types", "fields", "config", "config_json"), 0),
  **dict.fromkeys(("rules", "processes", "sharding", "grouped", "compiled"), 0),
  "markdown": 0,
  "data": 1,
  "model": 2,
  **dict.fromkeys(("losses", "decode", "index"), 3),
  **dict.fromkeys(("serve", "doctor"), 4),
  "evals": 5,
  "training": 6,
  **dict.fromkeys(("modes", "claims"), 7),
  "api": 8,
  "main": 9,
}


def _imports(path: pathlib.Path) -> set[str]:
  """Returns the rooms of the package that a file imports from."""
  rooms = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.ImportFrom) and node.module:
      parts = node.module.split(".")
      if parts[0] == "pinrec_jax":
        names = parts[1:2] or [alias.name for alias in node.names]
        rooms.update(names)
  return rooms


def test_imports_point_downwards():
  wrong = []
  for path in ROOT.rglob("*.py"):
    here = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for there in _imports(path) - {here}:
      if FLOORS[there] >= FLOORS[here] and FLOORS[here] > 0:
        wrong.append(f"{path.relative_to(ROOT)} imports {there}")
  assert not wrong


def test_mesh_axes_are_named_in_one_file():
  named = [
    path.name
    for path in ROOT.rglob("*.py")
    if "PartitionSpec" in path.read_text()
  ]
  assert named == ["sharding.py"]


def test_orbax_is_imported_by_one_file():
  importing = [
    path.name for path in ROOT.rglob("*.py") if "orbax" in path.read_text()
  ]
  assert importing == ["checkpoint.py"]
