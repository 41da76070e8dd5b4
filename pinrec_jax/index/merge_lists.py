"""Merging the neighbours of several vectors into one list of candidates."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Merged(NamedTuple):
  """Lists of candidates, best first.

  Attributes:
    item: candidates; -1 where a list is shorter.
    query: the vector that found each candidate.
    score: inner product of the candidate with that vector.
  """

  item: Int[Array, "b c"]
  query: Int[Array, "b c"]
  score: Float[Array, "b c"]


@functools.partial(jax.jit, static_argnames="size")
def merge(
  item: Int[Array, "b q k"],
  score: Float[Array, "b q k"],
  share: Float[Array, "b q"],
  seen: Int[Array, "b s"],
  *,
  size: int,
) -> Merged:
  """Interleaves the neighbours of vectors in proportion to their budgets.

  Each place of a list goes to the vector that is furthest behind its share. It
  gets the vector's nearest item that is neither seen nor in the list already.
  So no item repeats, and every prefix keeps the budget to within rounding. A
  longer list starts with the shorter list.

  Args:
    item: neighbours of each vector, nearest first; -1 is none.
    score: inner products of the neighbours.
    share: budget of each vector; the sum is 1.
    seen: items to leave out; -1 pads.
    size: length of a list.
  """
  of_one = functools.partial(_merge_one, size)
  return Merged(*jax.vmap(of_one)(item, score, share, seen))


def _merge_one(
  size: int,
  item: Int[Array, "q k"],
  score: Float[Array, "q k"],
  share: Float[Array, "q"],
  seen: Int[Array, "s"],
) -> tuple[Int[Array, "c"], Int[Array, "c"], Float[Array, "c"]]:
  """Returns the items, vectors and scores of one list."""
  seen = jnp.sort(seen)
  found = jnp.minimum(jnp.searchsorted(seen, item), len(seen) - 1)
  free = (item >= 0) & (seen[found] != item) & (share > 0)[:, None]
  # A list takes at most `size` items of a vector: its first free ones.
  fetched = item.shape[-1]
  wanted = 1 + jnp.arange(min(size, fetched))
  counted = jnp.cumsum(free, -1)
  nearest = jax.vmap(jnp.searchsorted, (0, None))(counted, wanted)
  nearest = jnp.minimum(nearest, fetched - 1)
  item, score = (
    jnp.take_along_axis(column, nearest, -1) for column in (item, score)
  )
  free = wanted <= counted[:, -1:]

  def _place(
    carry: tuple[Bool[Array, "q k"], Float[Array, "q"]], rank: Int[Array, ""]
  ):
    free, filled = carry
    lag = share * (rank + 1) - filled
    lag = jnp.where(jnp.any(free, -1), lag, -jnp.inf)
    query = jnp.argmax(lag)
    nth = jnp.argmax(free[query])
    found = lag[query] > -jnp.inf
    chosen = jnp.where(found, item[query, nth], -1)
    filled = filled.at[query].add(1)
    carry = (free & (item != chosen), filled)
    return carry, (chosen, query, score[query, nth])

  filled = jnp.zeros_like(share)
  return jax.lax.scan(_place, (free, filled), jnp.arange(size))[1]
