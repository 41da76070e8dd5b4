"""Writes docs/configuration.md from the dataclasses of the configuration.

  python docs/configuration.py > docs/configuration.md
  python docs/configuration.py --check

The meaning of a field is the comment above it or beside it. With --check,
nothing is printed, and it is an error if the committed page is out of date.
"""

import ast
import dataclasses
import inspect
import io
import pathlib
import sys
import tokenize
from collections.abc import Iterator
from typing import Any

from pinrec_jax import config as config_lib
from pinrec_jax import config_data, config_deployment, markdown, validation
from pinrec_jax.losses import positives
from pinrec_jax.model import backbone

PAGE = pathlib.Path(__file__).with_suffix(".md")
# Names that are checked where they are looked up.
CHOICES = {
  "loss.objective": positives.OBJECTIVES,
  "model.backbone": backbone.BLOCKS,
}
INTRODUCTION = """\
# Configuration

This page lists every configuration field with its type, default, meaning and
limits. It is generated from the comments in `pinrec_jax/config*.py`. Change
those, then run `python docs/configuration.py > docs/configuration.md`.

A configuration is a Python file with a function `get_config` that returns a
`pinrec_jax.config.Config`. The files in `configs/` are examples. On the command
line, set a field by its full name:

```bash
bash launch/local.sh --config=configs/demo.py --config.train.steps=100 \\
  --config.train.train_on_validation=False \\
  --config.model.offset_edges=60,3600 --config.decode.offsets="()" \\
  --config.evals.sweep="('is_click', 'is_like')"
```

Write a list of numbers with commas. Write a list of names with brackets and
quotes. Write an empty list as `()`.

All fields are checked before any work starts. An unknown field, a value of
another type and a value outside its limits are errors. A limit may depend on
another field. The number in brackets is then the default of that field. Names
of outcomes, surfaces and item types are checked when the log is open. A
configuration is frozen once it is checked. `pinrec_jax.config.replace` returns
a changed copy.
"""


def page() -> str:
  """Returns the whole page."""
  sections = _sections(config_lib.Config(), "")
  return "\n".join([INTRODUCTION, *sections]).rstrip("\n") + "\n"


def meanings() -> dict[str, dict[str, str]]:
  """Returns the comment of every field, by class and by field."""
  found: dict[str, dict[str, str]] = {}
  for module in (config_lib, config_data, config_deployment):
    found |= _of_source(inspect.getsource(module))
  return found


def _of_source(source: str) -> dict[str, dict[str, str]]:
  """Returns the comment of every field in the source of a module."""
  lines = source.splitlines()
  above: dict[int, str] = {}  # Comments that have a line of their own.
  beside: dict[int, str] = {}
  for token in tokenize.generate_tokens(io.StringIO(source).readline):
    if token.type == tokenize.COMMENT:
      row, column = token.start
      alone = not lines[row - 1][:column].strip()
      (above if alone else beside)[row] = token.string.lstrip("# ")
  return {
    node.name: {
      ast.unparse(field.target): _meaning(field, above, beside)
      for field in node.body
      # Fields with a default_factory are sections.
      if isinstance(field, ast.AnnAssign)
      and "default_factory" not in ast.unparse(field)
    }
    for node in ast.parse(source).body
    if isinstance(node, ast.ClassDef)
  }


def _meaning(
  field: ast.AnnAssign, above: dict[int, str], beside: dict[int, str]
) -> str:
  first = field.lineno
  while first - 1 in above:
    first -= 1
  own = range(field.lineno, (field.end_lineno or field.lineno) + 1)
  parts = [above[row] for row in range(first, field.lineno)]
  parts += [beside[row] for row in own if row in beside]
  return " ".join(parts)


def _limits() -> dict[str, str]:
  """Returns the limits of fields as sentences, by their full names."""
  config = config_lib.Config()
  found: dict[str, list[str]] = {}
  for path, _, field in validation.fields(config, ""):
    if limit := field.metadata.get("limit"):
      found.setdefault(path.lstrip("."), []).append(limit.remedy)
  for path, known in CHOICES.items():
    found.setdefault(path, []).append(f"choose from {', '.join(known)}")
  for _, path, remedy in validation.relations(config):
    found.setdefault(path, []).append(remedy)
  return {
    path: " ".join(f"{text[0].upper()}{text[1:]}." for text in remedies)
    for path, remedies in found.items()
  }


def _sections(part: Any, path: str) -> Iterator[str]:
  """Yields the lines of a section, then those of the sections within it."""
  comments, limits = meanings()[type(part).__name__], _limits()
  inner, rows = [], []
  for field in dataclasses.fields(part):
    name, value = f"{path}{field.name}", getattr(part, field.name)
    if dataclasses.is_dataclass(value):
      inner.append((value, f"{name}."))
    else:
      cells = [_code(name), _code(_kind(field.type)), _code(_shown(value))]
      cells += [_cell(comments[field.name]), _cell(limits.get(name, ""))]
      rows.append(cells)
  if rows:
    yield f"## {path.rstrip('.')}\n\n{type(part).__doc__}\n"
    head = ["field", "type", "default", "meaning", "limits"]
    yield markdown.table(head, rows)
    yield ""
  for value, name in inner:
    yield from _sections(value, name)


def _kind(kind: Any) -> str:
  """Returns a type as Python writes it."""
  return kind.__name__ if type(kind) is type else str(kind)


def _shown(value: object) -> str:
  return f'"{value}"' if isinstance(value, str) else str(value)


def _code(text: str) -> str:
  return f"`{_cell(text)}`"


def _cell(text: str) -> str:
  return text.replace("|", "\\|")


if __name__ == "__main__":
  written = page()
  if "--check" not in sys.argv[1:]:
    print(written, end="")
  elif not PAGE.is_file() or PAGE.read_text("utf-8") != written:
    sys.exit(
      f"{PAGE} is out of date; run python docs/configuration.py > "
      "docs/configuration.md"
    )
