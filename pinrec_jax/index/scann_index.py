"""ScaNN, as wide a search as the recall asked for takes."""

import json
import math
import pathlib
import sys
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from pinrec_jax.index import exact

TREE_FROM = 10_000  # items; a scan of fewer is exact and as fast
LEAVES = 4  # times the square root of the items
NEIGHBOURS = 100  # of which the recall is told; more are searched as widely
QUERIES, NEAR = 256, 0.5  # tried, and the norm of what is added to an item
EFFORT = "effort.json"  # a file beside ScaNN's


class Effort(NamedTuple):
  """How widely a tree is searched for up to NEIGHBOURS neighbours."""

  leaves: int  # looked into
  every: int  # leaves there are
  reorder: int  # items scored again with full vectors, for each neighbour

  def times(self, more: float) -> "Effort":
    """Returns so many times the leaves, or all."""
    leaves = min(self.every, math.ceil(more * self.leaves))
    return self._replace(leaves=leaves)


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


def require(kind: str) -> None:
  """Raises ValueError where index.kind asks for ScaNN and there is none."""
  if kind == "scann" and not available():
    raise ValueError(
      "config.index.kind is 'scann', which cannot be imported here; install "
      "scann (Linux), or use auto or exact"
    )


class Scann:
  """Approximate search: exhaustive when small, else quantised in leaves.

  So many leaves are looked into as find `recall` of the exact neighbours, by
  more than a standard error, of queries made up beside items.
  """

  def __init__(self, vectors: Float[np.ndarray, "v d"], recall: float = 0.99):
    scann = _load_scann()
    size = len(vectors)
    vectors = np.ascontiguousarray(vectors, np.float32)
    builder = scann.scann_ops_pybind.builder(vectors, 10, "dot_product")
    self.effort: Effort | None = None
    if size < TREE_FROM:
      self._searcher = builder.score_brute_force().build()
      return
    leaves = int(LEAVES * size**0.5)
    builder = builder.tree(
      leaves, 1, training_sample_size=min(size, 250_000),
      spherical=True, min_partition_size=10,
    )  # fmt: skip
    builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2)
    self._searcher = builder.reorder(NEIGHBOURS).build()
    self.effort = self._enough(vectors, recall, Effort(leaves, leaves, 1))

  def _enough(
    self, vectors: Float[np.ndarray, "v d"], recall: float, effort: Effort
  ) -> Effort:
    """Returns the least effort that finds so much of the exact neighbours.

    Scores are first made precise enough that all leaves together would miss
    half of what may be missed; then leaves are left out.
    """
    random = np.random.default_rng(0)
    query = vectors[random.integers(len(vectors), size=QUERIES)]
    noise = random.standard_normal(query.shape, np.float32)
    query = query + noise * np.float32(NEAR / query.shape[1] ** 0.5)
    query /= np.linalg.norm(query, axis=-1, keepdims=True)
    truth, _ = exact.Exact(vectors).search(query, NEIGHBOURS)

    def found(effort: Effort) -> float:
      row, _ = self._search(query, NEIGHBOURS, effort)
      share = (row[:, :, None] == truth[:, None]).any(1).mean(-1)
      return float(share.mean() - share.std() / QUERIES**0.5)

    # Scored again, all items are told apart.
    while effort.reorder * NEIGHBOURS < len(vectors):
      if found(effort) >= (1 + recall) / 2:
        break
      effort = effort._replace(reorder=2 * effort.reorder)
    few, enough = 0, effort.every
    while enough - few > 1:
      middle = (few + enough) // 2
      if found(effort._replace(leaves=middle)) >= recall:
        enough = middle
      else:
        few = middle
    return effort._replace(leaves=enough)

  def save(self, folder: pathlib.Path) -> None:
    """Writes the index; the folder may be moved as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    self._searcher.serialize(str(folder), relative_path=True)
    told = self.effort._asdict() if self.effort else None
    (folder / EFFORT).write_text(json.dumps(told))

  @classmethod
  def load(cls, folder: pathlib.Path) -> "Scann":
    """Reads an index that `save` wrote.

    Raises:
      FileNotFoundError: if an earlier version wrote it.
    """
    if not (folder / EFFORT).is_file():
      raise FileNotFoundError(
        f"no {EFFORT} in {folder}, an earlier version's; run --mode=index again"
      )
    found = cls.__new__(cls)
    found._searcher = _load_scann().scann_ops_pybind.load_searcher(str(folder))
    told = json.loads((folder / EFFORT).read_text())
    found.effort = Effort(**told) if told else None
    return found

  def search(
    self, query: Float[np.ndarray, "q d"], k: int
  ) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
    """Returns rows and inner products; row -1 where there are no more items."""
    query = np.ascontiguousarray(query, np.float32)
    if self.effort is None:
      return _told(self._searcher.search_batched_parallel(query, k))
    effort = self.effort
    if k > NEIGHBOURS:
      effort = effort.times(k / NEIGHBOURS)
    row, score = self._search(query, k, effort)
    # Leaves may hold too few.
    while effort.leaves < effort.every and (row < 0).any():
      effort = effort.times(2.0)
      row, score = self._search(query, k, effort)
    return row, score

  def _search(
    self, query: Float[np.ndarray, "q d"], k: int, effort: Effort
  ) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
    return _told(
      self._searcher.search_batched_parallel(
        query,
        final_num_neighbors=k,
        pre_reorder_num_neighbors=effort.reorder * max(k, NEIGHBOURS),
        leaves_to_search=effort.leaves,
      )
    )


def _told(
  found: tuple[np.ndarray, np.ndarray],
) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
  """Marks missing neighbours: they come as row 0, the score is no number."""
  row, score = found[0].astype(np.int32), found[1]
  missing = np.isnan(score)
  if missing.any():
    row = np.where(missing, np.int32(-1), row)
    score = np.where(missing, np.float32(-np.inf), score)
  return row, score
