"""All users' events in files that are read where they lie.

A prepared log opens at once, whatever its size, and only what is looked at
comes into memory.
"""

import contextlib
import dataclasses
import json
import pathlib
import shutil
from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np
from jaxtyping import Int, Shaped

from pinrec_jax.data import schema

FOLDER, SHAPES = "events", "shapes.json"
COLUMNS = [field.name for field in dataclasses.fields(schema.Events)]


class Packed(Sequence[schema.Events]):
  """Users' events by place; each column of all users lies end to end."""

  def __init__(
    self,
    columns: dict[str, Shaped[np.ndarray, "_ ..."]],
    ends: Int[np.ndarray, "u"],
    order: Int[np.ndarray, "u"],
  ):
    self._columns = columns
    self._ends = ends[order].tolist()
    self._starts = np.append(0, ends[:-1])[order].tolist()

  def __len__(self) -> int:
    return len(self._ends)

  @overload
  def __getitem__(self, place: int) -> schema.Events: ...
  @overload
  def __getitem__(self, place: slice) -> Sequence[schema.Events]: ...
  def __getitem__(self, place: Any) -> Any:
    if isinstance(place, slice):
      return [self[n] for n in range(*place.indices(len(self)))]
    own = slice(self._starts[place], self._ends[place])
    return schema.Events(**{key: c[own] for key, c in self._columns.items()})


def save(
  folder: pathlib.Path, users: Iterable[tuple[str, schema.Events]]
) -> None:
  """Writes every user's events, one user at a time; all of it or nothing."""
  path = folder / f"writing-{FOLDER}"
  shutil.rmtree(path, ignore_errors=True)
  path.mkdir()
  names, ends, end = [], [], 0
  shapes: dict[str, Any] = {}
  with contextlib.ExitStack() as stack:
    files = {
      name: stack.enter_context((path / name).open("wb")) for name in COLUMNS
    }
    for user, events in users:
      end += len(events)
      names.append(user)
      ends.append(end)
      for name, file in files.items():
        column = getattr(events, name)
        file.write(np.ascontiguousarray(column).data)
        shapes[name] = (column.dtype.str, column.shape[1:])
  np.save(path / "ends.npy", np.array(ends, np.int64))
  np.save(path / "users.npy", np.array(names, str), allow_pickle=False)
  (path / SHAPES).write_text(json.dumps(shapes))
  path.replace(folder / FOLDER)


def saved(folder: pathlib.Path) -> bool:
  """Tells whether there is something to load."""
  return (folder / FOLDER).is_dir()


def load(folder: pathlib.Path) -> tuple[tuple[str, ...], Packed]:
  """Returns the users, sorted, and the events of each."""
  path = folder / FOLDER
  users, ends = np.load(path / "users.npy"), np.load(path / "ends.npy")
  order = np.argsort(users)
  columns = {}
  for name, (kind, rest) in json.loads((path / SHAPES).read_text()).items():
    shape = (ends[-1], *rest)
    if np.prod(shape):  # an empty file cannot be mapped
      column = np.memmap(path / name, kind, "r", shape=shape)
      columns[name] = column.view(np.ndarray)
    else:
      columns[name] = np.zeros(shape, kind)
  return tuple(users[order].tolist()), Packed(columns, ends, order)
