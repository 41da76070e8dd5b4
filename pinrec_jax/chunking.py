"""Work on some rows of a batch at a time, so that little is held at once."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from pinrec_jax.types import AnyArray

# Numbers that a device works on at once: on a CPU as many as stay in a core's
# cache, elsewhere as many as keep all of it busy.
HELD = {"cpu": 1 << 19}
HELD_ELSEWHERE = 1 << 27


def at_once(rows: int, each: int, held: int = 0) -> int:
  """Returns how many rows of a batch to work on at once, a divisor of them.

  Args:
    rows: of the batch, over all devices.
    each: numbers that a row needs.
    held: numbers that a device may hold; 0 is what suits it.
  """
  held = held or HELD.get(jax.default_backend(), HELD_ELSEWHERE)
  most = max(1, held // each) * jax.device_count()
  return next(n for n in range(min(rows, most), 0, -1) if rows % n == 0)


def split(tree: Any, size: int) -> Any:
  """Returns arrays [b ...] as groups [_ size ...].

  A group has as many rows of each device's part of a batch, so that all of
  them work on it at once.
  """
  ways = math.gcd(size, jax.device_count())

  def of(x: Shaped[AnyArray, "b ..."]) -> Shaped[Array, "_ _ ..."]:
    x = jnp.reshape(x, (ways, -1, size // ways, *x.shape[1:]))
    return jnp.swapaxes(x, 0, 1).reshape(-1, size, *x.shape[3:])

  return jax.tree.map(of, tree)


def joined(tree: Any) -> Any:
  """Returns groups as one batch again."""

  def of(x: Shaped[Array, "_ _ ..."]) -> Shaped[Array, "b ..."]:
    ways = math.gcd(x.shape[1], jax.device_count())
    x = x.reshape(len(x), ways, -1, *x.shape[2:])
    return jnp.swapaxes(x, 0, 1).reshape(-1, *x.shape[3:])

  return jax.tree.map(of, tree)


def rows(
  function: Callable[..., Any], *arguments: Any, each: int, held: int = 0
) -> Any:
  """Returns a function of rows, computed on some of them at a time.

  The backward pass computes a group again. Where all rows are one group, it is
  a plain call.

  Args:
    function: of arrays with a row's leading axis, to a tree of such; a row's
      result depends on that row alone.
    *arguments: trees of arrays [b ...].
    each: numbers that it holds for a row.
    held: as of `at_once`.
  """
  size = len(jax.tree.leaves(arguments)[0])
  group = at_once(size, each, held)
  if group == size:
    return function(*arguments)
  parts = split(arguments, group)
  return joined(
    jax.lax.map(jax.checkpoint(lambda part: function(*part)), parts)
  )
