"""Exhaustive search in vectors that all devices of a process hold together."""

import functools
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, Shaped

from pinrec_jax import sharding
from pinrec_jax.types import AnyArray

BLOCK = 1 << 14  # Vectors that a device scores together, so that scores fit.
# Programs of two threads could start in a different order on each device, and
# then wait for each other for ever.
_LOCK = threading.Lock()


class Sharded:
  """Scores every vector, on the device that holds it.

  All devices hold equal parts of the rows, whatever the axes of the mesh. Each
  device finds the nearest of its own rows to all queries. Then the devices
  gather the items found, and keep the nearest of them.
  """

  kind = "sharded"

  def __init__(
    self,
    vectors: Float[np.ndarray, "v d"],
    recall: float = 1.0,
    mesh: Mesh | None = None,
  ):
    """Puts each part of the vectors on one device.

    Args:
      vectors: unit-norm item vectors.
      recall: expected recall of a search on a TPU; 1 is exact. Other devices
        are always exact.
      mesh: by default all devices of this process.

    Raises:
      ValueError: if the recall is 0.
    """
    if not recall:
      raise ValueError(
        "config.index.min_recall is 0, and index.kind 'sharded' needs a number "
        "above it on a TPU; use 0.5 or more"
      )
    self._mesh = mesh or sharding.device_mesh(devices=jax.local_devices())
    self._recall, self.exact = recall, recall == 1
    self._padded = padded(len(vectors), self._mesh.size)
    self._vectors = self._split(vectors)
    self._there = self._split(np.ones(len(vectors), bool))

  def _split(self, rows: Shaped[np.ndarray, "v ..."]) -> Shaped[Array, "w ..."]:
    """Returns rows on their devices, filled with zeros."""

    def _part(index: Any) -> Shaped[np.ndarray, "p ..."]:
      own = rows[index[0]]
      fill = len(range(self._padded)[index[0]]) - len(own)
      return np.pad(own, [(0, fill)] + [(0, 0)] * (rows.ndim - 1))

    return jax.make_array_from_callback(
      (self._padded, *rows.shape[1:]), sharding.layouts(self._mesh)[0], _part
    )

  def search(
    self,
    query: Float[AnyArray, "q d"],
    k: int,
    allowed: Bool[np.ndarray, "v"] | None = None,
    *,
    recall: float | None = None,
  ) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
    """Returns the rows of the k nearest vectors, as `build.Index.search`.

    Of equal scores, the lower row comes first; on a TPU, any of them.

    Args:
      query: finite vectors. Those of a device are not copied to the host.
      k: neighbours of each query.
      allowed: which rows may be returned; by default all.
      recall: expected recall on a TPU; by default that of the index.

    Raises:
      ValueError: if a query is not finite.
    """
    size = len(query)
    if isinstance(query, np.ndarray):  # Unlike batches, these have any size.
      query = np.pad(query, [(0, _power(size) - size), (0, 0)])
    there = self._there if allowed is None else self._split(allowed)
    with _LOCK:
      found = nearest(
        self._vectors,
        there,
        jnp.asarray(query),
        mesh=self._mesh,
        k=_power(k),
        recall=self._recall if recall is None else recall,
      )
      row, score = (np.asarray(column)[:size, :k] for column in found)
    if np.isnan(score).any():
      raise ValueError(
        "a query has NaN or infinity, so nothing is near it; the parameters of "
        "the model or the vectors of its history are damaged"
      )
    missing = [(0, 0), (0, k - row.shape[1])]
    return (
      np.pad(row, missing, constant_values=-1),
      np.pad(score, missing, constant_values=-np.inf),
    )


def padded(rows: int, devices: int) -> int:
  """Returns the number of rows that devices hold for some rows.

  Each device holds whole blocks. So a few more items need no other program.
  """
  part = max(1, -(-rows // devices))
  block = min(BLOCK, _power(part))
  return devices * block * -(-part // block)


def _power(size: int) -> int:
  """Returns the power of two at or above a size, so that few are compiled."""
  return 1 << max(size - 1, 0).bit_length()


@functools.partial(jax.jit, static_argnames=("mesh", "k", "recall"))
def nearest(
  vectors: Float[Array, "v d"],
  there: Bool[Array, "v"],
  query: Float[Array, "q d"],
  *,
  mesh: Mesh,
  k: int,
  recall: float,
) -> tuple[Int[Array, "q n"], Float[Array, "q n"]]:
  """Returns the rows of the k nearest vectors, and their scores.

  Args:
    vectors: rows that the devices split.
    there: which rows may be found.
    query: vectors; every device gets all.
    mesh: the devices.
    k: neighbours of each query; there are fewer if the rows are fewer.
    recall: expected recall of approximate search; 1 is exact.

  Returns:
    Rows, -1 where there is none, and scores, NaN if a query is not finite.
  """
  split, whole = sharding.layouts(mesh)
  part = len(vectors) // mesh.size
  settings: dict[str, Any] = {"recall": recall, "total": len(vectors)}
  found = jax.shard_map(
    functools.partial(_of_part, k=min(k, part), **settings),
    mesh=mesh,
    in_specs=(split.spec, split.spec, whole.spec),
    out_specs=split.spec,
    check_vma=False,
  )(vectors, there, query)
  first = part * jnp.arange(mesh.size, dtype=jnp.int32)
  row, score = jax.lax.with_sharding_constraint(found, whole)
  row, score = _best(row + first[:, None, None], score, k)
  row = jnp.where(jnp.isneginf(score), -1, row)
  good = jnp.isfinite(query).all(-1, keepdims=True)
  return row, jnp.where(good, score, jnp.nan)


def _of_part(
  vectors: Float[Array, "p d"],
  there: Bool[Array, "p"],
  query: Float[Array, "q d"],
  *,
  k: int,
  recall: float,
  total: int,
) -> tuple[Int[Array, "1 q n"], Float[Array, "1 q n"]]:
  """Returns the nearest of the rows of one device, counted from its first."""
  block = min(BLOCK, len(vectors))

  def _of_rows(
    first: Int[Array, ""],
    vectors: Float[Array, "r d"],
    there: Bool[Array, "r"],
  ) -> tuple[Int[Array, "q n"], Float[Array, "q n"]]:
    # A TPU would round the factors to bfloat16, an error of up to 2e-3 that
    # reorders close items. Three passes leave 5e-6, and six that of floats.
    precision = "highest" if recall == 1 else "high"
    score = jnp.matmul(query, vectors.T, precision=precision)
    score = jnp.where(there, score, -jnp.inf)
    if recall == 1:
      score, row = jax.lax.top_k(score, min(k, len(vectors)))
    else:
      # The product and this become one program of a TPU that keeps no scores.
      score, row = jax.lax.approx_max_k(
        score, k, recall_target=recall, reduction_input_size_override=total
      )
    return first + row, score

  if recall < 1:
    row, score = _of_rows(jnp.int32(0), vectors, there)
    return row[None], score[None]
  blocks = len(vectors) // block
  found = jax.lax.map(
    lambda given: _of_rows(*given),
    (
      block * jnp.arange(blocks, dtype=jnp.int32),
      vectors.reshape(blocks, block, -1),
      there.reshape(blocks, block),
    ),
  )
  row, score = _best(found[0], found[1], k)
  return row[None], score[None]


def _best(
  row: Int[Array, "s q n"], score: Float[Array, "s q n"], k: int
) -> tuple[Int[Array, "q m"], Float[Array, "q m"]]:
  """Returns the k best of the rows that each part found."""
  row, score = (
    jnp.moveaxis(x, 0, 1).reshape(x.shape[1], -1) for x in (row, score)
  )
  score, place = jax.lax.top_k(score, min(k, score.shape[1]))
  return jnp.take_along_axis(row, place, 1), score
