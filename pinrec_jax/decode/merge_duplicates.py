"""Merging generated vectors that would retrieve the same items."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from pinrec_jax.types import AnyArray


@functools.partial(jax.jit, static_argnames="threshold")
def merge_duplicates(
  query: Float[AnyArray, "b q d"],
  share: Float[AnyArray, "b q"],
  *,
  threshold: float,
) -> Float[Array, "b q"]:
  """Gives the budget of near-duplicate vectors to the one with more budget.

  Vectors are visited from the largest share to the smallest. A vector whose
  cosine with a kept vector is above the threshold gives its share to the
  nearest kept vector (arXiv 2504.10507, embedding compression). Unlike the
  paper, the order is not that of generation. Otherwise a vector of an outcome
  with a small budget could replace one with a large budget. Of equal shares,
  the earlier vector comes first.

  Args:
    query: unit-norm vectors in the order of generation.
    share: budget of each vector. A vector with share 0 is ignored.
    threshold: cosine above which vectors are merged; 1 merges none.

  Returns:
    The new shares, with the same sum; 0 for a merged vector.
  """
  if threshold >= 1:  # Rounding can make the cosine of equal vectors exceed 1.
    return jnp.asarray(share)

  def _of_one(
    query: Float[Array, "q d"], share: Float[Array, "q"]
  ) -> Float[Array, "q"]:
    cosine = query @ query.T
    order = jnp.argsort(-share, stable=True)
    place = jnp.argsort(order)

    def _visit(share: Float[Array, "q"], own: Int[Array, ""]):
      kept = (place < place[own]) & (share > 0)
      near = jnp.where(kept, cosine[own], -jnp.inf)
      into = jnp.where(jnp.max(near) > threshold, jnp.argmax(near), own)
      spent = share[own]
      return share.at[own].add(-spent).at[into].add(spent), None

    return jax.lax.scan(_visit, share, order)[0]

  return jax.vmap(_of_one)(jnp.asarray(query), jnp.asarray(share))
