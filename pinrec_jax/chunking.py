"""Computing a few rows of a batch at a time, to bound memory."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from pinrec_jax import sharding
from pinrec_jax.types import AnyArray

# Numbers that a device computes at a time. On a CPU they fit a core's cache.
# An accelerator needs more of them to be busy.
LIMITS = {"cpu": 1 << 19}
ACCELERATOR_LIMIT = 1 << 27


def chunk_size(rows: int, per_row: int, limit: int = 0) -> int:
  """Returns how many rows of a batch to compute at a time.

  The result divides the number of rows.

  Args:
    rows: rows of the batch, over all devices.
    per_row: numbers that a row needs.
    limit: numbers that a device may hold; 0 chooses a limit automatically.
  """
  limit = limit or LIMITS.get(jax.default_backend(), ACCELERATOR_LIMIT)
  most = max(1, limit // per_row) * sharding.row_ways()
  return next(n for n in range(min(rows, most), 0, -1) if rows % n == 0)


def split(tree: Any, size: int) -> Any:
  """Splits arrays [b ...] into chunks [_ size ...].

  A chunk takes equally many rows from each device's part of the batch. So all
  devices work on every chunk.
  """
  ways = math.gcd(size, sharding.row_ways())

  def _split(x: Shaped[AnyArray, "b ..."]) -> Shaped[Array, "_ _ ..."]:
    x = jnp.reshape(x, (ways, -1, size // ways, *x.shape[1:]))
    return jnp.swapaxes(x, 0, 1).reshape(-1, size, *x.shape[3:])

  return jax.tree.map(_split, tree)


def join(tree: Any) -> Any:
  """Joins the chunks of `split` into one batch, in the original order."""

  def _join(x: Shaped[Array, "_ _ ..."]) -> Shaped[Array, "b ..."]:
    ways = math.gcd(x.shape[1], sharding.row_ways())
    x = x.reshape(len(x), ways, -1, *x.shape[2:])
    return jnp.swapaxes(x, 0, 1).reshape(-1, *x.shape[3:])

  return jax.tree.map(_join, tree)


def map_rows(
  function: Callable[..., Any], *arguments: Any, per_row: int, limit: int = 0
) -> Any:
  """Applies a function to the rows of a batch, one chunk at a time.

  The backward pass computes each chunk again. If one chunk holds all rows, this
  is a plain call.

  Args:
    function: maps trees of arrays to a tree of arrays, all with one leading
      axis of rows. The result of a row depends on that row alone.
    *arguments: trees of arrays [b ...].
    per_row: numbers that a row needs.
    limit: as in `chunk_size`.
  """
  rows = jax.tree.leaves(arguments)[0].shape[0]
  if not isinstance(rows, int):  # The batch size of an exported program.
    return function(*arguments)
  size = chunk_size(rows, per_row, limit)
  if size == rows:
    return function(*arguments)
  chunks = split(arguments, size)
  return join(
    jax.lax.map(jax.checkpoint(lambda chunk: function(*chunk)), chunks)
  )


def sum_rows(
  function: Callable[[Any, Any], Float[Array, ""]],
  learned: tuple[Any, Any],
  fixed: tuple[Any, Any],
  *,
  per_row: int,
  limit: int = 0,
) -> Float[Array, ""]:
  """Returns the sum of a function over the rows of a batch.

  One chunk of rows is computed at a time. If the sum is differentiated, the
  gradient of a chunk is computed beside its value. So nothing is computed
  twice, and what the gradient needs is held for one chunk alone.

  Args:
    function: maps `learned` and `fixed`, with any number of rows, to the sum
      over these rows.
    learned: trees of arrays that have a gradient: [b ...] with one leading axis
      of rows, and those that all rows share.
    fixed: the same, of arrays without a gradient.
    per_row: numbers that a row needs.
    limit: as in `chunk_size`.
  """
  rows = jax.tree.leaves(learned[0])[0].shape[0]
  size = chunk_size(rows, per_row, limit)
  if size == rows:
    return function(learned, fixed)

  @jax.custom_vjp
  def _sum(learned: Any, fixed: Any) -> Float[Array, ""]:
    return jax.lax.scan(
      lambda total, own: (
        total + function((own[0], learned[1]), (own[1], fixed[1])),
        None,
      ),
      jnp.zeros(()),
      split((learned[0], fixed[0]), size),
    )[0]

  def _forward(learned: Any, fixed: Any) -> tuple[Float[Array, ""], Any]:
    def _add(total: Any, own: Any) -> tuple[Any, Any]:
      value, (of_rows, of_shared) = jax.value_and_grad(function)(
        (own[0], learned[1]), (own[1], fixed[1])
      )
      return jax.tree.map(jnp.add, total, (value, of_shared)), of_rows

    start = jnp.zeros(()), jax.tree.map(jnp.zeros_like, learned[1])
    (value, of_shared), of_rows = jax.lax.scan(
      _add, start, split((learned[0], fixed[0]), size)
    )
    return value, (join(of_rows), of_shared)

  def _backward(gradients: Any, slope: Float[Array, ""]) -> tuple[Any, None]:
    return jax.tree.map(lambda x: slope.astype(x.dtype) * x, gradients), None

  _sum.defvjp(_forward, _backward)
  return _sum(learned, fixed)
