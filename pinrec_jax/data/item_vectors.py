"""Content vectors of items from a file of their own."""

import dataclasses
import pathlib
import zipfile

import numpy as np

from pinrec_jax.data import catalog, identifiers


def added(known: catalog.Catalog, path: pathlib.Path) -> catalog.Catalog:
  """Returns the catalog with a content vector added to each item's numbers.

  One more number says whether an item has a vector; items without one have
  zeros.

  Args:
    known: the catalog.
    path: an .npz of `ids` [n], as the log has them, and `vectors` [n f].

  Raises:
    FileNotFoundError: if there is no such file.
    ValueError: if the arrays are missing or wrong.
  """
  name = f"config.data.item_vectors {str(path)!r}"
  if not path.is_file():
    raise FileNotFoundError(f"{name} is missing; set it to an .npz file")
  try:
    with np.load(path, allow_pickle=False) as file:
      ids, vectors = file["ids"], file["vectors"].astype(np.float32)
  except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
    raise ValueError(
      f"{name} has no arrays ids and vectors ({error}); write it with "
      "numpy.savez(path, ids=..., vectors=...)"
    ) from error
  if vectors.ndim != 2 or len(ids) != len(vectors):
    raise ValueError(
      f"{name} has ids of shape {ids.shape} and vectors of shape "
      f"{vectors.shape}; give one row of numbers per id"
    )
  texts = [identifiers.id_text(key) for key in ids.tolist()]
  if len({*texts}) < len(texts):
    raise ValueError(f"{name} has an id twice; keep one row per id")
  if not np.isfinite(vectors).all():
    raise ValueError(
      f"{name} has a number that is not finite; replace NaN and infinity"
    )
  rows = np.array([known.row_of.get(text, 0) for text in texts])
  if not rows.any():
    raise ValueError(
      f"{name} has none of the log's items: it has {ids[0]!r}, and the log "
      f"has {known.items.ids[1]!r}; use the same ids"
    )
  items = known.items
  table = np.zeros((len(items.ids), vectors.shape[1] + 1), np.float32)
  table[rows[rows > 0], :-1] = vectors[rows > 0]
  table[rows[rows > 0], -1] = 1
  dense = np.concatenate([items.dense, table], axis=1)
  return dataclasses.replace(
    known,
    vocabulary=dataclasses.replace(known.vocabulary, dense=dense.shape[1]),
    items=items._replace(dense=dense),
    numbers={
      **known.numbers,
      **{f"item_vectors.{n}": [0.0, 1.0] for n in range(table.shape[1])},
    },
  )
