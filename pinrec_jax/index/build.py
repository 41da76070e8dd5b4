"""The index protocol, and the index that a configuration names."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from pinrec_jax import config as config_lib
from pinrec_jax.index import exact, scann_index


@runtime_checkable
class Index(Protocol):
  """Anything that finds the nearest of the vectors it was built from."""

  def search(
    self, query: Float[np.ndarray, "q d"], k: int
  ) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
    """Returns the rows of the k nearest vectors, and their inner products.

    The nearest comes first. If there are fewer than k vectors, the row is -1
    and the inner product -inf.
    """
    ...


def build(config: config_lib.Index, vectors: Float[np.ndarray, "v d"]) -> Index:
  """Returns an index over unit-norm item vectors."""
  kind = config.kind
  if kind == "exact" or (kind == "auto" and not scann_index.available()):
    return exact.Exact(vectors)
  return scann_index.Scann(vectors, config.min_recall)
