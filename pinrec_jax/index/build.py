"""The index protocol, and the index that a configuration names."""

import pathlib
from typing import Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float, Int

from pinrec_jax import config as config_lib
from pinrec_jax.index import exact, scann_index, sharded
from pinrec_jax.types import AnyArray


class NotFiniteError(ValueError):
  """A vector has NaN or infinity."""


@runtime_checkable
class Index(Protocol):
  """Anything that finds the nearest of the vectors it was built from.

  Attributes:
    kind: value of `index.kind` that names it.
    exact: whether a search compares all vectors.
  """

  kind: str
  exact: bool

  def search(
    self, query: Float[AnyArray, "q d"], k: int
  ) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
    """Returns the rows of the k nearest vectors, and their inner products.

    The nearest comes first. If there are fewer than k vectors, the row is -1
    and the inner product -inf.
    """
    ...


def build(config: config_lib.Index, vectors: Float[np.ndarray, "v d"]) -> Index:
  """Returns an index over unit-norm item vectors.

  Raises:
    NotFiniteError: if a vector is not finite.
  """
  kind = config.kind
  if kind == "scann" or (kind == "auto" and scann_index.available()):
    _require_finite(vectors)
    return scann_index.Scann(vectors, config.min_recall)
  return _exhaustive(config, vectors)


def load(
  config: config_lib.Index,
  vectors: Float[np.ndarray, "v d"],
  folder: pathlib.Path,
) -> Index:
  """Returns the index of a bundle.

  Args:
    config: what kind it is.
    vectors: unit-norm vectors of the candidates.
    folder: of the bundle's ScaNN index; it need not exist.

  Raises:
    NotFiniteError: if a vector is not finite.
    ValueError: if the configuration names ScaNN and it cannot be used.
  """
  scann_index.require(config.kind)
  written = folder.is_dir()
  if config.kind == "scann" and not written:
    raise ValueError(
      f"config.index.kind is 'scann', and {folder.parent} was written without "
      "ScaNN; write the bundle again with --mode=index"
    )
  if written and config.kind in ("auto", "scann") and scann_index.available():
    return scann_index.Scann.load(folder)
  return _exhaustive(config, vectors)


def _exhaustive(
  config: config_lib.Index, vectors: Float[np.ndarray, "v d"]
) -> Index:
  """Returns an index that scores every vector, as `build`."""
  _require_finite(vectors)
  if config.kind == "sharded":
    approximate = jax.default_backend() == "tpu"
    return sharded.Sharded(vectors, config.min_recall if approximate else 1.0)
  return exact.Exact(vectors)


def _require_finite(vectors: Float[np.ndarray, "v d"]) -> None:
  if not np.isfinite(vectors.sum(dtype=np.float64)):  # It makes no mask.
    row = int(np.argmin(np.isfinite(vectors).all(1)))
    raise NotFiniteError(
      f"vector {row} of {len(vectors)} candidates has NaN or infinity, so it "
      "cannot be ranked; the parameters of the model are damaged: use an "
      "earlier checkpoint or bundle"
    )
