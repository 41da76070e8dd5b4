"""A retriever's index on disk, built once and loaded by every server."""

import json
import pathlib

import numpy as np
from jaxtyping import Float

from pinrec_jax import config as config_lib
from pinrec_jax import config_json
from pinrec_jax.data import catalogue
from pinrec_jax.index import approximate, exact
from pinrec_jax.model import items, pinrec
from pinrec_jax.serve import retriever as retriever_lib
from pinrec_jax.types import Params


def save(
  retriever: retriever_lib.Retriever,
  known: catalogue.Catalogue,
  folder: pathlib.Path,
  *,
  step: int,
) -> None:
  """Writes the index, its vectors, the catalogue and the configuration.

  Args:
    retriever: whose index it is.
    known: its catalogue.
    folder: what is already there is replaced.
    step: of the checkpoint the vectors come from.
  """
  # Written last, removed first: without it the folder is no index.
  told = folder / "index.json"
  told.unlink(missing_ok=True)
  known.save(folder)
  config_json.save(retriever.config, folder / "config.json")
  np.save(folder / "vectors.npy", retriever.embedded)
  np.save(folder / "rows.npy", retriever.features.rows)
  index = retriever.index
  scann = isinstance(index, approximate.Scann)
  if scann:
    index.save(folder / "scann")
  told.write_text(
    json.dumps(
      {
        "step": step,
        "kind": "scann" if scann else "exact",
        "outcome_share": [float(x) for x in retriever.outcome_share],
      }
    )
  )


def read(folder: pathlib.Path) -> tuple[catalogue.Catalogue, int]:
  """Returns the catalogue of an index and the checkpoint step it is of.

  Raises:
    FileNotFoundError: if there is no index.
  """
  if not (folder / "index.json").is_file():
    raise FileNotFoundError(
      f"no index in {folder}; run --mode=index first, with the same --workdir"
    )
  return catalogue.load(folder), _told(folder)["step"]


def _told(folder: pathlib.Path) -> dict:
  return json.loads((folder / "index.json").read_text())


def load(
  folder: pathlib.Path,
  config: config_lib.Config,
  model: pinrec.PinRec,
  params: Params,
  known: catalogue.Catalogue,
) -> retriever_lib.Retriever:
  """Returns the retriever whose index `save` wrote.

  Where ScaNN is missing the exact index serves, unless it is asked for by name.

  Raises:
    ValueError: if it is, or the index was written without it.
  """
  told, kind = _told(folder), config.index.kind
  approximate.require(kind)
  if kind == "scann" and told["kind"] != kind:
    raise ValueError(
      f"config.index.kind is 'scann' and the index in {folder} is "
      f"{told['kind']}; run --mode=index again, or use auto"
    )
  embedded: Float[np.ndarray, "c d"] = np.load(folder / "vectors.npy")
  scann = told["kind"] == "scann" and kind != "exact"
  if scann and approximate.available():
    index = approximate.Scann.load(folder / "scann")
  else:
    index = exact.Exact(embedded)
  return retriever_lib.Retriever(
    config,
    model,
    params,
    items.ItemFeatures(
      np.load(folder / "rows.npy"),
      known.items.categorical,
      known.items.dense,
      known.items.item_type,
    ),
    np.flatnonzero(known.items.candidate).astype(np.int32),
    embedded,
    index,
    np.array(told["outcome_share"], np.float32),
  )
