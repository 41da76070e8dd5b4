"""Writes docs/configuration.md from the dataclasses of pinrec_jax/config.py.

  python docs/configuration.py > docs/configuration.md
  python docs/configuration.py --check

What a field means is the comment above it and the one beside it. With --check
nothing is printed, and a committed page that is not current is an error.
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
from pinrec_jax import rules

PAGE = pathlib.Path(__file__).with_suffix(".md")
INTRODUCTION = """\
# Configuration

Written by `python docs/configuration.py > docs/configuration.md` from the
comments in `pinrec_jax/config.py`; change those.

A configuration is a file with a function `get_config` that returns a
`pinrec_jax.config.Config`, as in `configs/`. On the command line a field is set
by its full name:

```bash
bash launch/local.sh --config=configs/demo.py --config.train.steps=100 \\
  --config.train.train_on_validation=False --config.model.offset_edges=60,3600 \\
  --config.evals.sweep="('is_click', 'is_like')" --config.decode.offsets="()"
```

A list of numbers may be written with commas alone; one of names needs its
brackets and quotes, and an empty one is `()`. A name that is no field, or a
value of another type, ends the program before any work. So does a value outside
its limits (`pinrec_jax/rules.py`). Where a limit depends on another field, the
number in brackets is that field's default. What a log does not have, an outcome
or a surface, is said once the log is open.
"""


def page() -> str:
  """Returns the whole page."""
  return "\n".join([INTRODUCTION, *_sections(config_lib.Config(), "")])


def meanings() -> dict[str, dict[str, str]]:
  """Returns what each class's fields mean, by their comments."""
  source = inspect.getsource(config_lib)
  lines = source.splitlines()
  beside, above = {}, {}  # by line; what stands above is a line of its own
  for token in tokenize.generate_tokens(io.StringIO(source).readline):
    if token.type == tokenize.COMMENT:
      row, column = token.start
      alone = not lines[row - 1][:column].strip()
      (above if alone else beside)[row] = token.string.lstrip("# ")
  found: dict[str, dict[str, str]] = {}
  for node in ast.parse(source).body:
    if isinstance(node, ast.ClassDef):
      fields = [
        part
        for part in node.body
        if isinstance(part, ast.AnnAssign)
        and "default_factory" not in ast.unparse(part)  # a section of its own
      ]
      found[node.name] = {
        ast.unparse(field.target): _meaning(field, above, beside)
        for field in fields
      }
  return found


def _meaning(
  field: ast.AnnAssign, above: dict[int, str], beside: dict[int, str]
) -> str:
  first = field.lineno
  while first - 1 in above:
    first -= 1
  own = range(field.lineno, (field.end_lineno or field.lineno) + 1)
  parts = [above[row] for row in range(first, field.lineno)]
  parts += [
    f"({beside[row]})" if parts else beside[row] for row in own if row in beside
  ]
  return " ".join(parts)


def _limits() -> dict[str, str]:
  """Returns what the rules ask of fields, by their full names."""
  config = config_lib.Config()
  found: dict[str, list[str]] = {}
  for path, _, field in rules._fields(config, ""):
    if field.metadata:
      found.setdefault(path[1:], []).append(field.metadata["remedy"])
  for _, path, remedy in (*rules._of_data(config), *rules._of_model(config)):
    found.setdefault(path, []).append(remedy)
  return {
    path: "; ".join(
      one
      for one in remedies
      if not any(other.startswith(f"{one} ") for other in remedies)
    )
    for path, remedies in found.items()
  }


def _sections(part: Any, path: str) -> Iterator[str]:
  """Yields the lines of a section, then those of the sections within it."""
  told, limits = meanings()[type(part).__name__], _limits()
  within = []
  rows = []
  for field in dataclasses.fields(part):
    name = f"{path}{field.name}"
    value = getattr(part, field.name)
    if dataclasses.is_dataclass(value):
      within.append((value, f"{name}."))
      continue
    kind = getattr(field.type, "__name__", str(field.type))
    if kind == "tuple":
      kind = str(field.type)
    cells = [_code(name), _code(kind), _code(_shown(value))]
    cells += [_cell(told[field.name]), _cell(limits.get(name, ""))]
    rows.append(f"| {' | '.join(cells)} |")
  if rows:
    yield f"## {path.rstrip('.')}\n\n{type(part).__doc__}\n"
    yield "| field | type | default | meaning | limits |\n|--|--|--|--|--|"
    yield from rows
    yield ""
  for value, inner in within:
    yield from _sections(value, inner)


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
  elif not PAGE.is_file() or PAGE.read_text() != written:
    sys.exit(f"{PAGE} is not current; write it anew, as its first lines say")
