"""ScaNN, sized to the catalogue."""

import pathlib
import sys
from typing import Any

import numpy as np
from jaxtyping import Float, Int

BRUTE_BELOW = 20_000  # items; a scan is exact and as fast
TREE_FROM = 50_000  # items
SEARCHED = 25  # one leaf of so many is looked into
REORDER = 4  # candidates scored again with full vectors, for each wanted
LEAST = 100  # neighbours to reckon with where fewer are wanted


def _load_scann() -> Any:
  """Imports ScaNN without TensorFlow, which some versions clash with."""
  hidden = "tensorflow" not in sys.modules
  if hidden:
    # None is what bars an import, though no module.
    sys.modules["tensorflow"] = None  # pyright: ignore[reportArgumentType]
  try:
    import scann
  finally:
    if hidden:
      del sys.modules["tensorflow"]
  return scann


def available() -> bool:
  """Whether ScaNN can be imported here (it has Linux wheels only)."""
  try:
    _load_scann()
  except ImportError:
    return False
  return True


class Scann:
  """Approximate search: exhaustive when small, quantised, then partitioned."""

  def __init__(self, vectors: Float[np.ndarray, "v d"]):
    scann = _load_scann()
    size = len(vectors)
    vectors = np.ascontiguousarray(vectors, np.float32)
    builder = scann.scann_ops_pybind.builder(vectors, 10, "dot_product")
    if size >= TREE_FROM:
      leaves = int(4 * size**0.5)
      builder = builder.tree(
        leaves, leaves // SEARCHED, training_sample_size=min(size, 250_000),
        spherical=True, min_partition_size=10,
      )  # fmt: skip
    if size < BRUTE_BELOW:
      builder = builder.score_brute_force()
    else:
      builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2)
      builder = builder.reorder(REORDER * LEAST)
    self._searcher = builder.build()

  def save(self, folder: pathlib.Path) -> None:
    """Writes the index; the folder may be moved as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    self._searcher.serialize(str(folder), relative_path=True)

  @classmethod
  def load(cls, folder: pathlib.Path) -> "Scann":
    """Reads an index that `save` wrote."""
    found = cls.__new__(cls)
    found._searcher = _load_scann().scann_ops_pybind.load_searcher(str(folder))
    return found

  def search(
    self, query: Float[np.ndarray, "q d"], k: int
  ) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
    """Returns rows and inner products; row -1 where fewer were found."""
    row, score = self._searcher.search_batched_parallel(
      np.ascontiguousarray(query, np.float32),
      final_num_neighbors=k,
      pre_reorder_num_neighbors=REORDER * max(k, LEAST),
    )
    # A missing neighbour comes as row 0 with a score that is no number.
    missing = np.isnan(score)
    row = np.where(missing, -1, row.astype(np.int64))
    return row.astype(np.int32), np.where(missing, -np.inf, score)
