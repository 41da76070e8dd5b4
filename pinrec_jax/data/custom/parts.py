"""A log's rows on disk, so that all of a user's are read together."""

import contextlib
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pandas.util
import pyarrow as pa
from jaxtyping import Int

from pinrec_jax.data.custom import columns

# Pandas loads it lazily, which hides its type.
hash_array: Any = pandas.util.hash_array
BYTES = 1 << 24  # of a log's files for each part
MOST = 512  # parts; each is an open file
GROUP = 1 << 25  # bytes of parts that are prepared in one piece


def how_many(files: Iterable[pathlib.Path]) -> int:
  """Returns into how many parts the rows of files are best divided."""
  size = sum(path.stat().st_size for path in files)
  return min(1 + size // BYTES, MOST)


def of_users(users: columns.Column, count: int) -> Int[np.ndarray, "_"]:
  """Returns the part that each user is in; the same in every process."""
  hashes = hash_array(users.to_numpy(object), categorize=False)
  return (hashes % np.uint64(count)).astype(int)


def divided(
  rows: columns.Frame, count: int
) -> Iterator[tuple[int, columns.Frame]]:
  """Yields the rows of each part, in their order."""
  part = of_users(rows["user"], count)
  for number, own in rows.groupby(part, sort=True):
    yield int(number), own


def joined(pieces: Iterable[columns.Frame]) -> columns.Frame:
  """Returns the rows of one part as a single table."""
  return pd.concat(list(pieces), ignore_index=True)


class Parts:
  """Rows written in any order, read part by part."""

  def __init__(self, folder: pathlib.Path, count: int):
    self._folder, self._count = folder, count
    folder.mkdir(parents=True)

  def write(self, frames: Iterable[columns.Frame]) -> None:
    """Writes rows, all with the same columns, `user` among them."""
    writers: dict[int, Any] = {}
    with contextlib.ExitStack() as stack:
      for frame in frames:
        for number, own in divided(frame, self._count):
          table = pa.Table.from_pandas(own, preserve_index=False)
          if number not in writers:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            writers[number] = stack.enter_context(
              pa.ipc.new_file(
                str(self._path(number)), table.schema, options=options
              )
            )
          writers[number].write_table(table)

  def __iter__(self) -> Iterator[columns.Frame]:
    return self.read(range(self._count))

  def read(self, numbers: Iterable[int]) -> Iterator[columns.Frame]:
    """Yields some of the parts; those without a row are left out."""
    for number in numbers:
      if self._path(number).is_file():
        with pa.ipc.open_file(str(self._path(number))) as file:
          yield file.read_all().to_pandas()

  def groups(self, size: int) -> list[list[int]]:
    """Returns the parts that have rows, together in groups of some bytes."""
    groups: list[list[int]] = []
    filled = size
    for number in range(self._count):
      if self._path(number).is_file():
        if filled >= size:
          groups.append([])
          filled = 0
        groups[-1].append(number)
        filled += self._path(number).stat().st_size
    return groups

  def _path(self, number: int) -> pathlib.Path:
    return self._folder / f"part-{number}.arrow"
