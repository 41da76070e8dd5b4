"""Figures of a prepared log that are computed once and kept beside it."""

import contextlib
import hashlib
import json
from collections.abc import Callable
from typing import Any

from pinrec_jax import files
from pinrec_jax.data import dataset as dataset_lib

FOLDER = "figures"  # In the folder of a prepared log.


def once(
  dataset: dataset_lib.Dataset,
  name: str,
  compute: Callable[[], Any],
  *depends: object,
) -> Any:
  """Returns what `compute` returns, from the log's folder if it is there.

  A damaged file is computed again. A folder that cannot be written is left
  alone. Nothing is kept for a log whose events are in memory.

  Args:
    dataset: the log.
    name: of the figures.
    compute: returns them as JSON values.
    *depends: what they depend on beside the log, its periods and its targets.
  """
  if not is_stored(dataset):
    return compute()
  folder, stem = dataset.folder / FOLDER, f"{name}-{key(dataset, *depends)}"
  if (path := files.with_digest(folder, stem, ".json")) is not None:
    return json.loads(path.read_text("utf-8"))
  found, new = compute(), folder / f".{stem}"
  with contextlib.suppress(OSError):
    files.write_json(new, found)
    files.add_digest(new, stem, ".json")
  return found


def is_stored(dataset: dataset_lib.Dataset) -> bool:
  """Whether the events of a log are those of its folder, not in memory."""
  return not isinstance(dataset.events, list | tuple)


def key(dataset: dataset_lib.Dataset, *depends: object) -> str:
  """Returns a digest of a log's names, periods and targets, and of others."""
  about = repr((dataset.vocabulary, dataset.aim, *depends))
  return hashlib.sha256(about.encode()).hexdigest()[:12]
