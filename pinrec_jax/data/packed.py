"""All users' events in one file, so that a prepared log opens at once."""

import dataclasses
import itertools
import pathlib
from collections.abc import Sequence

import numpy as np

from pinrec_jax.data import schema

FILE = "events.npz"
COLUMNS = [field.name for field in dataclasses.fields(schema.Events)]


def save(
  folder: pathlib.Path, users: Sequence[str], events: Sequence[schema.Events]
) -> None:
  """Writes every user's events, end to end; all of it or nothing."""
  columns = {
    name: np.concatenate([getattr(own, name) for own in events])
    for name in COLUMNS
  }
  ends = np.cumsum([len(own) for own in events])
  columns |= {"users": np.array(users, str), "ends": ends}
  path = folder / f"writing-{FILE}"
  np.savez(path, allow_pickle=False, **columns)
  path.replace(folder / FILE)


def load(
  folder: pathlib.Path,
) -> tuple[tuple[str, ...], tuple[schema.Events, ...]] | None:
  """Returns the users and their events, or nothing if there is no such file."""
  path = folder / FILE
  if not path.is_file():
    return None
  with np.load(path, allow_pickle=False) as file:
    users, ends = file["users"].tolist(), file["ends"].tolist()
    columns = {name: file[name] for name in COLUMNS}
  events = tuple(
    schema.Events(**{key: c[start:end] for key, c in columns.items()})
    for start, end in itertools.pairwise([0, *ends])
  )
  return tuple(users), events
