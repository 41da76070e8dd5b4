"""Softmax attention that holds few logits, forth and back."""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from pinrec_jax import chunking
from pinrec_jax.model import attention

NEVER = -1e30  # the logit of a slot that is not to be read
SPAN = 128  # positions that ask together
SPANS = 8  # of a row at most, so that a long one still compiles soon


class Span(NamedTuple):
  """Some positions, and how many of the slots they are asked about."""

  first: int
  end: int
  slots: int


def read(
  query: Float[Array, "b l h k"],
  key: Float[Array, "b s h k"],
  value: Float[Array, "b s h k"],
  view: attention.View,
) -> Float[Array, "b l h k"]:
  """Returns what each position reads of the slots that its view shows.

  As `jax.nn.dot_product_attention`, with a gradient that keeps one number a
  position and head and computes the logits again (arXiv 2205.14135), for some
  rows at a time. Where it is known how many slots were filled before, a span of
  positions leaves out those that come after it.
  """
  scale = query.shape[-1] ** -0.5
  spans = _spans(query.shape[1], key.shape[1], view.start)
  return _read(query * scale, key, value, view.mask, spans)


def _spans(
  length: int, slots: int, start: Int[Array, ""] | int
) -> tuple[Span, ...]:
  if not isinstance(start, int):  # told when it runs
    return (Span(0, length, slots),)
  count = min(SPANS, -(-length // SPAN))
  edges = [length * n // count for n in range(count + 1)]
  return tuple(Span(n, m, start + m) for n, m in itertools.pairwise(edges))


def _value(
  query: Float[Array, "b l h k"],
  key: Float[Array, "b s h k"],
  value: Float[Array, "b s h k"],
  mask: Bool[Array, "b 1 l s"],
  spans: tuple[Span, ...],
) -> Float[Array, "b l h k"]:
  return _forward(query, key, value, mask, spans)[0]


def _forward(
  query: Float[Array, "b l h k"],
  key: Float[Array, "b s h k"],
  value: Float[Array, "b s h k"],
  mask: Bool[Array, "b 1 l s"],
  spans: tuple[Span, ...],
) -> tuple[Float[Array, "b l h k"], tuple]:
  """Returns what is read, and what the gradient needs."""

  def of_rows(query: Any, key: Any, value: Any, mask: Any) -> Any:
    query, key, value = _heads_first(query, key, value)
    read, total = [], []
    for span in spans:
      logits, _, values = _scored(query, key, value, mask, span)
      top = jnp.max(logits, -1, keepdims=True)
      weight = jnp.exp(logits - top)
      summed = jnp.sum(weight, -1, keepdims=True)
      found = _product("rhls,rhsk->rhlk", weight.astype(value.dtype), values)
      read.append((found / summed).astype(value.dtype))
      total.append(top + jnp.log(summed))
    (read,) = _heads_first(jnp.concatenate(read, 2))
    return read, jnp.concatenate(total, 2)[..., 0]

  parts = (query, key, value, mask)
  read, total = chunking.rows(of_rows, *parts, each=_each(query, mask))
  return read, (*parts, read, total)


def _backward(spans: tuple[Span, ...], kept: tuple, slope: Any) -> tuple:
  query, *_, mask, _, _ = kept

  def of_rows(
    query: Any, key: Any, value: Any, mask: Any, read: Any, total: Any,
    slope: Any,
  ) -> Any:  # fmt: skip
    own = query.dtype
    query, key, value, read, slope = _heads_first(
      query, key, value, read, slope
    )
    common = jnp.sum((read * slope).astype(jnp.float32), -1, keepdims=True)
    of_query, of_key, of_value = [], jnp.zeros(key.shape), jnp.zeros(key.shape)
    for span in spans:
      here = slice(span.first, span.end)
      logits, keys, values = _scored(query, key, value, mask, span)
      weight = jnp.exp(logits - total[:, :, here, None])
      more = _product("rhlk,rhsk->rhls", slope[:, :, here], values)
      change = (weight * (more - common[:, :, here])).astype(own)
      of_query.append(_product("rhls,rhsk->rhlk", change, keys))
      more = _product("rhls,rhlk->rhsk", change, query[:, :, here])
      of_key = of_key.at[:, :, : span.slots].add(more)
      weight = weight.astype(own)
      more = _product("rhls,rhlk->rhsk", weight, slope[:, :, here])
      of_value = of_value.at[:, :, : span.slots].add(more)
    found = _heads_first(jnp.concatenate(of_query, 2), of_key, of_value)
    return tuple(x.astype(own) for x in found)

  each = _each(query, mask)
  return (*chunking.rows(of_rows, *kept, slope, each=each), None)


_read = jax.custom_vjp(_value, nondiff_argnums=(4,))
_read.defvjp(_forward, _backward)


def _scored(
  query: Float[Array, "r h l k"],
  key: Float[Array, "r h s k"],
  value: Float[Array, "r h s k"],
  mask: Bool[Array, "r 1 l s"],
  span: Span,
) -> tuple[
  Float[Array, "r h _ _"], Float[Array, "r h _ k"], Float[Array, "r h _ k"]
]:
  """Returns a span's logits, and the keys and values it is asked about."""
  here = slice(span.first, span.end)
  key, value = key[:, :, : span.slots], value[:, :, : span.slots]
  logits = _product("rhlk,rhsk->rhls", query[:, :, here], key)
  shown = mask[:, :, here, : span.slots]
  return jnp.where(shown, logits, NEVER), key, value


def _product(
  how: str, left: Float[Array, "_ _ _ _"], right: Float[Array, "_ _ _ _"]
) -> Float[Array, "_ _ _ _"]:
  return jnp.einsum(how, left, right, preferred_element_type=jnp.float32)


def _heads_first(*arrays: Float[Array, "_ _ _ _"]) -> list[Array]:
  """Swaps positions and heads, one way or the other."""
  return [jnp.swapaxes(x, 1, 2) for x in arrays]


def _each(query: Float[Array, "b l h k"], mask: Bool[Array, "b 1 l s"]) -> int:
  """Returns how many logits a row has."""
  return query.shape[2] * mask.shape[-2] * mask.shape[-1]
