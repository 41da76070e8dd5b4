"""Softmax attention that holds few logits, forward and backward."""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from pinrec_jax import chunking
from pinrec_jax.model import attention

MASKED = -1e30  # Logit of a slot that a position may not read.
SPAN = 128  # Positions of a span.
MAX_SPANS = 8  # Of a row, so that long rows compile quickly.


class Span(NamedTuple):
  """Neighbouring positions and the slots that they may read.

  Attributes:
    first: first position.
    end: position after the last one.
    slots: number of slots that any of them may read.
  """

  first: int
  end: int
  slots: int


def attend(
  query: Float[Array, "b l h k"],
  key: Float[Array, "b s h k"],
  value: Float[Array, "b s h k"],
  view: attention.View,
) -> Float[Array, "b l h k"]:
  """Returns the attention output of each position.

  It equals `jax.nn.dot_product_attention`. Its gradient stores one number per
  position and head and computes the logits again (arXiv 2205.14135), a few rows
  at a time. If the start of the view is known at compile time, a span of
  positions skips the slots after it.
  """
  scale = query.shape[-1] ** -0.5
  spans = _spans(query.shape[1], key.shape[1], view.start)
  return _attend(query * scale, key, value, view.mask, spans)


def _spans(
  length: int, slots: int, start: Int[Array, ""] | int
) -> tuple[Span, ...]:
  if not isinstance(start, int):  # Known at run time only.
    return (Span(0, length, slots),)
  count = min(MAX_SPANS, -(-length // SPAN))
  edges = [length * n // count for n in range(count + 1)]
  return tuple(Span(n, m, start + m) for n, m in itertools.pairwise(edges))


def _forward(
  query: Float[Array, "b l h k"],
  key: Float[Array, "b s h k"],
  value: Float[Array, "b s h k"],
  mask: Bool[Array, "b 1 l s"],
  spans: tuple[Span, ...],
) -> tuple[Float[Array, "b l h k"], tuple]:
  """Returns the attention output, and the residuals of the gradient."""

  def _of_rows(query: Any, key: Any, value: Any, mask: Any) -> Any:
    query, key, value = _heads_first(query, key, value)
    outputs, totals = [], []
    for span in spans:
      logits, _, values = _logits(query, key, value, mask, span)
      top = jnp.max(logits, -1, keepdims=True)
      weight = jnp.exp(logits - top)
      summed = jnp.sum(weight, -1, keepdims=True)
      found = _product("rhls,rhsk->rhlk", weight.astype(value.dtype), values)
      outputs.append((found / summed).astype(value.dtype))
      totals.append(top + jnp.log(summed))
    (output,) = _heads_first(jnp.concatenate(outputs, 2))
    return output, jnp.concatenate(totals, 2)[..., 0]

  inputs = (query, key, value, mask)
  output, total = chunking.map_rows(
    _of_rows, *inputs, per_row=_logits_per_row(query, mask)
  )
  return output, (*inputs, output, total)


def _backward(spans: tuple[Span, ...], residuals: tuple, slope: Any) -> tuple:
  """Returns the gradients, given that of the output (`slope`)."""
  query, *_, mask, _, _ = residuals

  def _of_rows(
    query: Any, key: Any, value: Any, mask: Any, output: Any, total: Any,
    slope: Any,
  ) -> Any:  # fmt: skip
    dtype = query.dtype
    query, key, value, output, slope = _heads_first(
      query, key, value, output, slope
    )
    common = jnp.sum((output * slope).astype(jnp.float32), -1, keepdims=True)
    of_query, of_key, of_value = [], jnp.zeros(key.shape), jnp.zeros(key.shape)
    for span in spans:
      here = slice(span.first, span.end)
      logits, keys, values = _logits(query, key, value, mask, span)
      weight = jnp.exp(logits - total[:, :, here, None])
      more = _product("rhlk,rhsk->rhls", slope[:, :, here], values)
      change = (weight * (more - common[:, :, here])).astype(dtype)
      of_query.append(_product("rhls,rhsk->rhlk", change, keys))
      more = _product("rhls,rhlk->rhsk", change, query[:, :, here])
      of_key = of_key.at[:, :, : span.slots].add(more)
      weight = weight.astype(dtype)
      more = _product("rhls,rhlk->rhsk", weight, slope[:, :, here])
      of_value = of_value.at[:, :, : span.slots].add(more)
    found = _heads_first(jnp.concatenate(of_query, 2), of_key, of_value)
    return tuple(x.astype(dtype) for x in found)

  per_row = _logits_per_row(query, mask)
  gradients = chunking.map_rows(_of_rows, *residuals, slope, per_row=per_row)
  return (*gradients, None)


_attend = jax.custom_vjp(
  lambda *arguments: _forward(*arguments)[0], nondiff_argnums=(4,)
)
_attend.defvjp(_forward, _backward)


def _logits(
  query: Float[Array, "r h l k"],
  key: Float[Array, "r h s k"],
  value: Float[Array, "r h s k"],
  mask: Bool[Array, "r 1 l s"],
  span: Span,
) -> tuple[
  Float[Array, "r h _ _"], Float[Array, "r h _ k"], Float[Array, "r h _ k"]
]:
  """Returns the logits of a span, and the keys and values of its slots."""
  here = slice(span.first, span.end)
  key, value = key[:, :, : span.slots], value[:, :, : span.slots]
  logits = _product("rhlk,rhsk->rhls", query[:, :, here], key)
  readable = mask[:, :, here, : span.slots]
  return jnp.where(readable, logits, MASKED), key, value


def _product(
  equation: str, left: Float[Array, "_ _ _ _"], right: Float[Array, "_ _ _ _"]
) -> Float[Array, "_ _ _ _"]:
  return jnp.einsum(equation, left, right, preferred_element_type=jnp.float32)


def _heads_first(*arrays: Float[Array, "_ _ _ _"]) -> list[Array]:
  """Swaps the axes of positions and heads; a second call swaps them back."""
  return [jnp.swapaxes(x, 1, 2) for x in arrays]


def _logits_per_row(
  query: Float[Array, "b l h k"], mask: Bool[Array, "b 1 l s"]
) -> int:
  return query.shape[2] * mask.shape[-2] * mask.shape[-1]
