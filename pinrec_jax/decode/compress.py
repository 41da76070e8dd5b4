"""Merging vectors that would retrieve the same items."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from pinrec_jax.types import AnyArray


@functools.partial(jax.jit, static_argnames="above")
def compress(
  query: Float[AnyArray, "b q d"],
  share: Float[AnyArray, "b q"],
  *,
  above: float,
) -> Float[Array, "b q"]:
  """Moves the budget of near-duplicate vectors to the one that has more.

  From the largest share down, a vector whose cosine with one kept so far is
  above the threshold gives its share to the nearest such (arXiv 2504.10507,
  embedding compression). Unlike the paper, which goes by the order they were
  generated in: that would let an outcome of little budget stand for one of
  much. Of equal shares the earlier vector comes first.

  Args:
    query: unit vectors in the order they were generated.
    share: the budget of each; one of share 0 neither merges nor is kept.
    above: the threshold; 1 or more merges nothing.

  Returns:
    The new shares, which sum to the old; 0 for a merged vector.
  """
  if above >= 1:  # rounded, the cosine of a vector with itself may be more
    return jnp.asarray(share)

  def of_one(
    query: Float[Array, "q d"], share: Float[Array, "q"]
  ) -> Float[Array, "q"]:
    cosine = query @ query.T
    order = jnp.argsort(-share, stable=True)
    place = jnp.argsort(order)

    def visit(share: Float[Array, "q"], own: Int[Array, ""]):
      kept = (place < place[own]) & (share > 0)
      near = jnp.where(kept, cosine[own], -jnp.inf)
      into = jnp.where(jnp.max(near) > above, jnp.argmax(near), own)
      spent = share[own]
      return share.at[own].add(-spent).at[into].add(spent), None

    return jax.lax.scan(visit, share, order)[0]

  return jax.vmap(of_one)(jnp.asarray(query), jnp.asarray(share))
