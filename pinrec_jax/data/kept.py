"""Figures of a prepared log that are computed once and kept beside it."""

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
  # Events in memory are not those of the folder.
  if isinstance(dataset.events, list | tuple):
    return compute()
  about = repr((dataset.vocabulary, dataset.aim, *depends))
  key = hashlib.sha256(about.encode()).hexdigest()[:12]
  folder = dataset.folder / FOLDER
  for path in folder.glob(f"{name}-{key}-*.json"):
    if path.stem.rpartition("-")[2] == files.digest(path):
      return json.loads(path.read_text("utf-8"))
  found, new = compute(), folder / f".{name}-{key}"
  try:
    files.write_json(new, found)
    new.rename(folder / f"{name}-{key}-{files.digest(new)}.json")
  except OSError:
    pass
  return found
