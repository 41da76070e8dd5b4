"""What an index is, and the one that a configuration wants."""

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
    """Returns rows, nearest first (-1 is none), and inner products."""
    ...


def build(config: config_lib.Index, vectors: Float[np.ndarray, "v d"]) -> Index:
  """Returns an index over item vectors, unit norm, one row an item."""
  kind = config.kind
  if kind == "exact" or (kind == "auto" and not scann_index.available()):
    return exact.Exact(vectors)
  return scann_index.Scann(vectors, config.min_recall)
