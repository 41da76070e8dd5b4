"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def row(cells: Iterable[str]) -> str:
  """Returns one row of a table."""
  return f"| {' | '.join(cells)} |"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """Returns a table without padding, so that a changed row changes one line."""
  return "\n".join([row(head), "|--" * len(head) + "|", *map(row, rows)])


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """Returns a table with aligned columns, for a terminal."""
  widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
  between = ["-" * width for width in widths]
  return "\n".join(
    row(map(str.ljust, cells, widths)) for cells in [head, between, *rows]
  )
