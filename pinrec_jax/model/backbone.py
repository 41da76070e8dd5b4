"""A stack of causal blocks over packed rows, or over a cache."""

import dataclasses
import functools
from collections.abc import Callable

import flax.linen as nn
import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinrec_jax.data import histories
from pinrec_jax.model import attention, dropout, hstu, pooled, transformer

BLOCKS = {
  "transformer": transformer.Block,
  "hstu": hstu.Block,
  "pooled": pooled.Block,
}
# What of a block is kept for the backward pass; the rest is computed again.
KEPT = {
  "products": jax.checkpoint_policies.checkpoint_dots_with_no_batch_dims,
  "inputs": jax.checkpoint_policies.nothing_saveable,
}


class Backbone(nn.Module):
  """History positions in, states out; every kind of block keeps one contract.

  A block reads the slots its view shows and extends its part of the cache, so
  training, prefill and decoding are one call (arXiv 2504.10507, backbone).
  """

  kind: str  # of config.BACKBONES
  layers: int
  heads: int
  dropout: float
  positions: int  # slots a history can have
  dtype: DTypeLike
  keep: str = "all"  # of "all" or KEPT

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b l w"],
    tokens: histories.Tokens,
    cache: attention.Cache | None = None,
    *,
    train: bool = False,
    last: bool = False,
  ) -> tuple[Float[Array, "b _ w"], attention.Cache | None]:
    """Returns the states and, where one was given, the extended cache.

    Args:
      x: what the positions are read as.
      tokens: everything else about them.
      cache: what was read before.
      train: whether dropout is on.
      last: only the last position's state is wanted; the last block then
        computes no other, but for its keys and values.
    """
    block: Callable[..., nn.Module] = BLOCKS[self.kind]
    if self.keep != "all":  # `train`, the fourth argument, is no array
      block = nn.remat(block, policy=KEPT[self.keep], static_argnums=(4,))
    if self.kind == "hstu":
      block = functools.partial(block, positions=self.positions)
    pasts = cache.layers if cache is not None else (None,) * self.layers
    view, cache = attention.look_back(tokens.segment, tokens.time, cache)
    x = dropout.Dropout(self.dropout, train)(x)
    layers = []
    for n, past in enumerate(pasts):
      x, past = block(
        heads=self.heads,
        dropout=self.dropout,
        dtype=self.dtype,
        last=last and n == self.layers - 1,
        name=f"block_{n}",
      )(x, view, past, train)
      layers.append(past)
    x = nn.LayerNorm(dtype=self.dtype, name="norm")(x)
    if cache is not None:
      cache = dataclasses.replace(cache, layers=tuple(layers))
    return x, cache
