"""Tables as Markdown, which reads as well in a terminal."""

from collections.abc import Iterable, Sequence


def row(cells: Iterable[str]) -> str:
  """Returns one row of a table, its cells as long as they are."""
  return f"| {' | '.join(cells)} |"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """Returns a table of which one row may change and no other line does."""
  return "\n".join([row(head), "|--" * len(head) + "|", *map(row, rows)])


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """Returns a table whose columns line up."""
  widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
  between = ["-" * width for width in widths]
  return "\n".join(
    row(map(str.ljust, cells, widths)) for cells in [head, between, *rows]
  )
