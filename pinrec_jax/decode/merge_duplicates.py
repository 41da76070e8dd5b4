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
  outcome: Int[AnyArray, "b q"],
  *,
  threshold: float,
) -> Float[Array, "b q"]:
  """Gives the budget of near-duplicate vectors to an earlier vector.

  Vectors are visited in the order of generation. A vector whose cosine with a
  kept vector of the same outcome is above the threshold gives its share to the
  nearest such vector (arXiv 2504.10507, embedding compression). Unlike the
  paper, vectors of different outcomes are never merged. Otherwise the budget
  could not choose between outcomes with close vectors.

  Args:
    query: unit-norm vectors in the order of generation.
    share: budget of each vector. A vector with share 0 is ignored.
    outcome: the outcome of each vector.
    threshold: cosine above which vectors are merged; 1 merges none.

  Returns:
    The new shares, with the same sum for each outcome; 0 for a merged vector.
  """
  if threshold >= 1:  # Rounding can make the cosine of equal vectors exceed 1.
    return jnp.asarray(share)
  number = jnp.arange(query.shape[1])

  def _of_one(
    query: Float[Array, "q d"],
    share: Float[Array, "q"],
    outcome: Int[Array, "q"],
  ) -> Float[Array, "q"]:
    same = outcome[:, None] == outcome
    cosine = jnp.where(same, query @ query.T, -jnp.inf)

    def _visit(share: Float[Array, "q"], own: Int[Array, ""]):
      kept = (number < own) & (share > 0)
      near = jnp.where(kept, cosine[own], -jnp.inf)
      into = jnp.where(jnp.max(near) > threshold, jnp.argmax(near), own)
      spent = share[own]
      return share.at[own].add(-spent).at[into].add(spent), None

    return jax.lax.scan(_visit, share, number)[0]

  return jax.vmap(_of_one)(*map(jnp.asarray, (query, share, outcome)))
