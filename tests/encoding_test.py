"""Text files are UTF-8 in every locale.

Ruff's rule PLW1514 misses the methods of paths whose type it cannot infer.
"""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FOLDERS = ("pinrec_jax", "benchmarks", "configs", "docs", "launch")
FILES = [path for name in FOLDERS for path in (ROOT / name).rglob("*.py")]
# The place of the encoding among the arguments of a method.
BINARY = ("archive", "tarfile")  # Whose files are opened as bytes.
PLACES = {"read_text": 0, "write_text": 1}


def unnamed(tree):
  """Returns the lines with a call that opens text without an encoding."""
  lines = []
  for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
    if any(key.arg in ("encoding", None) for key in call.keywords):
      continue
    called = call.func
    method = isinstance(called, ast.Attribute)
    name = getattr(called, "attr" if method else "id", "")
    if method and getattr(called.value, "id", "") in BINARY:
      continue
    if name in PLACES and len(call.args) <= PLACES[name]:
      lines.append(call.lineno)
    elif name in ("open", "fdopen", "NamedTemporaryFile", "TextIOWrapper"):
      words = [*call.args, *(key.value for key in call.keywords)]
      modes = [word.value for word in words if isinstance(word, ast.Constant)]
      if not any("b" in mode for mode in modes if isinstance(mode, str)):
        lines.append(call.lineno)
    elif any(
      key.arg in ("text", "universal_newlines") for key in call.keywords
    ):
      lines.append(call.lineno)
  return lines


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_text_has_its_encoding(path):
  tree = ast.parse(path.read_text(encoding="utf-8"))
  assert not unnamed(tree), f"{path}: add encoding='utf-8'"


@pytest.mark.parametrize(
  ("line", "found"),
  [
    ("p.read_text()", True), ("p.read_text('utf-8')", False),
    ("p.write_text(x)", True), ("p.write_text(x, encoding='utf-8')", False),
    ("open(p)", True), ("p.open('a', buffering=1)", True),
    ("p.open('rb')", False), ("open(p, mode='wb')", False),
    ("os.fdopen(n, 'w')", True), ("subprocess.run(c, text=True)", True),
  ],
)  # fmt: skip
def test_the_rule_finds_what_it_should(line, found):
  assert bool(unnamed(ast.parse(line))) == found
