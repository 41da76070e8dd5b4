"""The raw files of a log, read with errors that name the file."""

import hashlib
import pathlib
import zlib
from collections.abc import Callable
from typing import Any

import pandas as pd


def read(
  path: pathlib.Path, reader: Callable[[Any], pd.DataFrame]
) -> pd.DataFrame:
  """Returns a table.

  Args:
    path: of the file; a SHA256SUMS beside it is checked.
    reader: of its format.

  Raises:
    FileNotFoundError: if it is missing.
    ValueError: if it is corrupt.
  """
  sums = path.with_name("SHA256SUMS")
  if not path.is_file():
    raise FileNotFoundError(
      f"data file {path} is missing; point data.source at a folder that has it"
    )
  if sums.is_file():
    expected = dict(
      line.split()[::-1] for line in sums.read_text().splitlines()
    )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if expected.get(path.name, found) != found:
      raise ValueError(
        f"data file {path} is corrupt: its sha256 is {found}, {sums} says "
        f"{expected[path.name]}; copy it again"
      )
  try:
    return reader(path)
  except (OSError, ValueError, EOFError, zlib.error) as error:
    raise ValueError(
      f"data file {path} is corrupt: {error}; copy it again"
    ) from error


def known(
  layout: Callable[[pathlib.Path], tuple[pd.DataFrame, pd.DataFrame]],
  source: pathlib.Path,
  origin: str,
) -> tuple[pd.DataFrame, pd.DataFrame]:
  """Returns a layout's log and items, or says which column is missing.

  Args:
    layout: reads both from a folder.
    source: the folder.
    origin: whose files they should be.

  Raises:
    ValueError: if a column is missing.
  """
  try:
    return layout(source)
  except KeyError as error:
    raise ValueError(
      f"a table in {source} lacks the column {error}; point data.source at "
      f"{origin}'s own files"
    ) from error
