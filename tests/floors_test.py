"""The package is built in floors, and an import points only downwards."""

import ast
import graphlib
import pathlib
import re
from collections.abc import Iterator

import pinrec_jax

ROOT = pathlib.Path(pinrec_jax.__file__).parent
SIBLINGS = range(1, 6)  # Floors whose rooms never import each other.


def floors() -> dict[str, int]:
  """Returns the floor of every room, as the package's docstring lists them."""
  text = (pinrec_jax.__doc__ or "").partition("in floors.")[2]
  table = text.partition(":\n")[2].partition("Notation")[0]
  found = {}
  for number, rooms in re.findall(
    r"(?m)^  (\d)  ((?:.+\n)(?: {5}.+\n)*)", table
  ):
    for room in re.findall(r"\w+", rooms):
      assert room not in found, room
      found[room] = int(number)
  return found


FLOORS = floors()
FILES = sorted(ROOT.rglob("*.py"))


def room(path: pathlib.Path) -> str:
  """Returns the room that a file belongs to."""
  return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: pathlib.Path) -> set[str]:
  """Returns the modules of the package that a file imports, as dotted names."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.ImportFrom) and node.module:
      package, *inner = node.module.split(".")
      if package == "pinrec_jax":
        for alias in node.names:
          found.add(".".join([*inner, alias.name]))
    elif isinstance(node, ast.Import):
      for alias in node.names:
        if alias.name.startswith("pinrec_jax."):
          found.add(alias.name.partition(".")[2])
  return found


def rooms_below(path: pathlib.Path) -> set[str]:
  """Returns the other rooms that a file imports from."""
  return {name.split(".")[0] for name in imports(path)} - {room(path)}


# The package's own file imports its public names when they are first used.
USING = [path for path in FILES if path != ROOT / "__init__.py"]


def test_the_table_lists_every_room():
  assert set(FLOORS) == {room(path) for path in USING}
  assert set(FLOORS.values()) == set(range(8))


def test_imports_point_downwards():
  wrong = [
    f"{path.relative_to(ROOT)} (floor {here}) imports {name} ({FLOORS[name]})"
    for path in USING
    for here in [FLOORS[room(path)]]
    for name in rooms_below(path)
    if FLOORS[name] > here or (FLOORS[name] == here and here in SIBLINGS)
  ]
  assert not wrong


def test_rooms_do_not_import_each_other_in_a_circle():
  graph: dict[str, set[str]] = {}
  for path in USING:
    graph.setdefault(room(path), set()).update(rooms_below(path))
  order = [*graphlib.TopologicalSorter(graph).static_order()]
  assert set(order) == set(FLOORS)


def test_files_do_not_import_each_other_in_a_circle():
  modules = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in USING
  }
  graph = {
    name: {
      module if module in modules else module.rpartition(".")[0]
      for module in imports(path)
    }
    for name, path in modules.items()
  }
  assert [*graphlib.TopologicalSorter(graph).static_order()]


def test_a_wrong_import_is_found(monkeypatch):
  monkeypatch.setitem(FLOORS, "data", 7)
  try:
    test_imports_point_downwards()
  except AssertionError:
    return
  raise AssertionError("model imports data, which was moved above it")


def named_in(word: str) -> list[str]:
  """Returns the files that contain a word."""
  return [path.name for path in FILES if word in path.read_text()]


def test_mesh_axes_are_named_in_one_file():
  assert named_in("PartitionSpec") == ["sharding.py"]


def test_orbax_is_imported_by_one_file():
  importing = [
    path.name
    for path in FILES
    if re.search(r"^\s*(import|from) orbax", path.read_text(), re.M)
  ]
  assert importing == ["checkpoint.py"]


def test_serving_and_training_use_no_code_of_each_other():
  """And nothing below training reads a checkpoint."""
  for path in FILES:
    if room(path) in ("serve", "inference", "model", "decode", "index", "data"):
      assert not {"training", "evals", "losses"} & rooms_below(path), path


Documented = ast.Module | ast.ClassDef | ast.FunctionDef


def public(tree: ast.Module, path: str) -> Iterator[tuple[str, Documented]]:
  """Yields the public classes, functions and methods of a module."""
  yield path, tree
  for node in tree.body:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
      if node.name.startswith("_"):
        continue
      yield f"{path}:{node.name}", node
      for inner in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(inner, ast.FunctionDef) and inner.name[0] != "_":
          yield f"{path}:{node.name}.{inner.name}", inner


def test_every_public_name_has_a_docstring():
  missing = [
    name
    for path in FILES
    for name, node in public(
      ast.parse(path.read_text()), str(path.relative_to(ROOT))
    )
    if not ast.get_docstring(node)
  ]
  assert not missing
