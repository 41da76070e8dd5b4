"""Softmax over sampled negatives, with the corrected logQ."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from pinrec_jax.types import AnyArray


def sampled_softmax(
  query: Float[AnyArray, "b d"],
  positive: Float[AnyArray, "b d"],
  negative: Float[AnyArray, "n d"],
  positive_id: Int[AnyArray, "b"],
  negative_id: Int[AnyArray, "n"],
  log_expected: Float[AnyArray, "n"],
  *,
  temperature: Float[Array, ""] | float,
  chunk: int,
) -> Float[Array, "b"]:
  """Cross-entropy of each query's positive against shared negatives.

  The positive is in the sum by construction, so it alone stays uncorrected;
  a negative counts by one over how often it is expected among the negatives,
  which makes the sum an estimate of the full softmax's (arXiv 2507.09331,
  with the expected count of a mixture in place of a unigram probability).

  Args:
    query: unit-norm predictions.
    positive: the unit vector each query should be near.
    negative: unit vectors shared by all queries.
    positive_id: item of each positive.
    negative_id: item of each negative; a query's own positive is left out of
      its sum, and so is item 0.
    log_expected: log of each negative's expected count.
    temperature: of the softmax, > 0.
    chunk: queries scored at once; the logits of one chunk are all that is
      ever held, and the backward pass computes them again.

  Returns:
    -log p(positive | query) in nats, float32.
  """

  def of_chunk(
    part: tuple[Float[Array, "b d"], Float[Array, "b d"], Int[Array, "b"]],
  ) -> Float[Array, "b"]:
    query, positive, own = part
    score = jnp.sum(query * positive, -1) / temperature
    logits = query @ negative.T / temperature - log_expected
    hidden = (negative_id == own[:, None]) | (negative_id == 0)
    logits = jnp.where(hidden, -jnp.inf, logits)
    # The positive joins the sum, which is therefore never empty.
    top = jax.lax.stop_gradient(jnp.maximum(score, jnp.max(logits, -1)))
    rest = jnp.sum(jnp.exp(logits - top[:, None]), -1)
    return jnp.log(jnp.exp(score - top) + rest) + top - score

  size = query.shape[0]
  chunk = min(chunk, size)
  pad = -size % chunk

  def split(x: Shaped[AnyArray, "b ..."]) -> Shaped[Array, "_ _ ..."]:
    x = jnp.pad(x, [(0, pad)] + [(0, 0)] * (x.ndim - 1))
    return x.reshape(-1, chunk, *x.shape[1:])

  parts = jax.tree.map(split, (query, positive, positive_id))
  return jax.lax.map(jax.checkpoint(of_chunk), parts).reshape(-1)[:size]
