"""The ScaNN index, with a search effort that reaches a minimum recall."""

import json
import math
import pathlib
import sys
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from pinrec_jax.index import exact
from pinrec_jax.types import AnyArray

MIN_TREE_SIZE = 10_000  # Of fewer items, an exhaustive search is as fast.
LEAVES_PER_ROOT = 4  # Leaves are this many times the square root of the items.
NEIGHBOURS = 100  # Neighbours at which recall is measured.
SAMPLED_QUERIES = 256  # Queries with which recall is measured.
NOISE = 0.5  # Norm of the noise that makes a query from an item.
EFFORT_FILE = "effort.json"  # Beside ScaNN's own files.


class Effort(NamedTuple):
  """How widely a tree is searched.

  Attributes:
    leaves: leaves that are searched.
    all_leaves: leaves of the tree.
    reorder: items that are scored with full vectors, per neighbour.
  """

  leaves: int
  all_leaves: int
  reorder: int

  def scaled(self, factor: float) -> "Effort":
    """Returns an effort with more leaves, at most all."""
    leaves = min(self.all_leaves, math.ceil(factor * self.leaves))
    return self._replace(leaves=leaves)


def _load_scann() -> Any:
  """Imports ScaNN without TensorFlow, which some versions conflict with."""
  hidden = "tensorflow" not in sys.modules
  if hidden:
    # None blocks the import; the type checker expects a module.
    sys.modules["tensorflow"] = None  # pyright: ignore[reportArgumentType]
  try:
    import scann
  finally:
    if hidden:
      del sys.modules["tensorflow"]
  return scann


def available() -> bool:
  """Whether ScaNN can be imported; its wheels are for Linux only."""
  try:
    _load_scann()
  except ImportError:
    return False
  return True


def require(kind: str) -> None:
  """Raises ValueError if index.kind names ScaNN and ScaNN is missing."""
  if kind == "scann" and not available():
    raise ValueError(
      "config.index.kind is 'scann', and ScaNN cannot be imported; install "
      "scann (Linux only), or use 'auto' or 'exact'"
    )


class Scann:
  """Approximate search in a tree of quantized vectors.

  A small index is searched exhaustively. In a larger one, the fewest leaves are
  searched that reach the minimum recall on queries sampled near items. The
  margin is one standard error.
  """

  kind, exact = "scann", False

  def __init__(self, vectors: Float[np.ndarray, "v d"], recall: float = 0.99):
    scann = _load_scann()
    size = len(vectors)
    vectors = np.ascontiguousarray(vectors, np.float32)
    builder = scann.scann_ops_pybind.builder(vectors, 10, "dot_product")
    self.effort: Effort | None = None
    if size < MIN_TREE_SIZE:
      self._searcher = builder.score_brute_force().build()
      return
    leaves = int(LEAVES_PER_ROOT * size**0.5)
    builder = builder.tree(
      leaves, 1, training_sample_size=min(size, 250_000),
      spherical=True, min_partition_size=10,
    )  # fmt: skip
    builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2)
    self._searcher = builder.reorder(NEIGHBOURS).build()
    self.effort = self._least(vectors, recall, Effort(leaves, leaves, 1))

  def _least(
    self, vectors: Float[np.ndarray, "v d"], recall: float, effort: Effort
  ) -> Effort:
    """Returns the least effort that reaches a recall.

    More items are reordered until a search of all leaves loses half of the
    recall that may be lost. Then the number of leaves is reduced.
    """
    random = np.random.default_rng(0)
    query = vectors[random.integers(len(vectors), size=SAMPLED_QUERIES)]
    noise = random.standard_normal(query.shape, np.float32)
    query = query + noise * np.float32(NOISE / query.shape[1] ** 0.5)
    query /= np.linalg.norm(query, axis=-1, keepdims=True)
    truth, _ = exact.Exact(vectors).search(query, NEIGHBOURS)

    def _recall(effort: Effort) -> float:
      """Returns the mean recall less its standard error."""
      row, _ = self._search(query, NEIGHBOURS, effort)
      found = (row[:, :, None] == truth[:, None]).any(1).mean(-1)
      return float(found.mean() - found.std() / SAMPLED_QUERIES**0.5)

    while effort.reorder * NEIGHBOURS < len(vectors):
      if _recall(effort) >= (1 + recall) / 2:
        break
      effort = effort._replace(reorder=2 * effort.reorder)
    too_few, enough = 0, effort.all_leaves
    while enough - too_few > 1:
      middle = (too_few + enough) // 2
      if _recall(effort._replace(leaves=middle)) >= recall:
        enough = middle
      else:
        too_few = middle
    return effort._replace(leaves=enough)

  def save(self, folder: pathlib.Path) -> None:
    """Writes the index; its folder can be moved."""
    folder.mkdir(parents=True, exist_ok=True)
    self._searcher.serialize(str(folder), relative_path=True)
    effort = self.effort._asdict() if self.effort else None
    (folder / EFFORT_FILE).write_text(json.dumps(effort), encoding="utf-8")

  @classmethod
  def load(cls, folder: pathlib.Path) -> "Scann":
    """Reads an index that `save` wrote."""
    index = cls.__new__(cls)
    index._searcher = _load_scann().scann_ops_pybind.load_searcher(str(folder))
    effort = json.loads((folder / EFFORT_FILE).read_text(encoding="utf-8"))
    index.effort = Effort(**effort) if effort else None
    return index

  def search(
    self, query: Float[AnyArray, "q d"], k: int
  ) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
    """Returns the rows of the k nearest vectors, as `build.Index.search`."""
    query = np.ascontiguousarray(query, np.float32)
    if self.effort is None:
      return _mark_missing(self._searcher.search_batched_parallel(query, k))
    effort = self.effort
    if k > NEIGHBOURS:
      effort = effort.scaled(k / NEIGHBOURS)
    row, score = self._search(query, k, effort)
    # The searched leaves may hold fewer than k items.
    while effort.leaves < effort.all_leaves and (row < 0).any():
      effort = effort.scaled(2.0)
      row, score = self._search(query, k, effort)
    return row, score

  def _search(
    self, query: Float[np.ndarray, "q d"], k: int, effort: Effort
  ) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
    return _mark_missing(
      self._searcher.search_batched_parallel(
        query,
        final_num_neighbors=k,
        pre_reorder_num_neighbors=effort.reorder * max(k, NEIGHBOURS),
        leaves_to_search=effort.leaves,
      )
    )


def _mark_missing(
  found: tuple[np.ndarray, np.ndarray],
) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
  """Sets missing neighbours to -1; ScaNN gives them row 0 and a NaN score."""
  row, score = found[0].astype(np.int32), found[1]
  missing = np.isnan(score)
  return np.where(missing, -1, row), np.where(missing, -np.inf, score)
