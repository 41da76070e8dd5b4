"""A stack of causal blocks over packed rows, or over a cache."""

import dataclasses
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from pinrec_jax.data import schema
from pinrec_jax.model import attention, dropout, hstu, pooled, transformer

BLOCKS = {
  "transformer": transformer.Block,
  "hstu": hstu.Block,
  "pooled": pooled.Block,
}
STACK = "blocks"  # the parameters of all, one array for all layers
# Activations kept for the backward pass; all others are computed again.
POLICIES = {
  "products": jax.checkpoint_policies.checkpoint_dots_with_no_batch_dims,
  "inputs": jax.checkpoint_policies.nothing_saveable,
}


def block(kind: str) -> Callable[..., nn.Module]:
  """Returns a kind of block.

  Raises:
    ValueError: if there is none of this name.
  """
  if kind not in BLOCKS:
    raise ValueError(
      f"config.model.backbone is {kind!r}; choose from {', '.join(BLOCKS)}"
    )
  return BLOCKS[kind]


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
  remat: str = "all"  # "all" or a key of POLICIES.
  scan_layers: bool = False  # the blocks' parameters are arrays [layers ...]

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b l w"],
    tokens: schema.Tokens,
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
    pasts = cache.layers if cache is not None else (None,) * self.layers
    view, cache = attention.look_back(tokens.segment, tokens.time, cache)
    x = dropout.Dropout(self.dropout, train)(x)
    if self.scan_layers and cache is None and not last:
      x, layers = self._looped(x, view, train), []
    else:
      x, layers = self._in_turn(x, view, pasts, train, last)
    x = nn.LayerNorm(dtype=self.dtype, name="norm")(x)
    if cache is not None:
      cache = dataclasses.replace(cache, layers=tuple(layers))
    return x, cache

  def _looped(
    self, x: Float[Array, "b l w"], view: attention.View, train: bool
  ) -> Float[Array, "b l w"]:
    """Reads through one block compiled for all layers."""

    def read(block: nn.Module, x: Float[Array, "b l w"], _: None):
      return block(x, view, None, train)

    through = nn.scan(
      read,
      variable_axes={"params": 0},
      split_rngs={"params": True, "dropout": True},
      length=self.layers,
    )
    return through(self._block(name=STACK), x, None)[0]

  def _in_turn(
    self,
    x: Float[Array, "b l w"],
    view: attention.View,
    pasts: Sequence[attention.KVCache | None],
    train: bool,
    last: bool,
  ) -> tuple[Float[Array, "b _ w"], list[attention.KVCache | None]]:
    """Reads through each layer's own block, which extends its own cache.

    A loop would write the caches of all layers anew for every position.
    """
    layers = []
    for n, past in enumerate(pasts):
      ends = last and n == self.layers - 1
      if self.scan_layers:
        params = self.get_variable("params", STACK)
        params = jax.tree.map(operator.itemgetter(n), params)
        block = self._block(last=ends, parent=None).bind({"params": params})
      else:
        block = self._block(last=ends, name=f"block_{n}")
      x, past = block(x, view, past, train)
      layers.append(past)
    return x, layers

  def _block(self, **own: Any) -> nn.Module:
    made = block(self.kind)
    if self.remat != "all":  # `train`, the fourth argument, is not an array.
      made = nn.remat(made, policy=POLICIES[self.remat], static_argnums=(4,))
    if self.kind == "hstu":
      made = functools.partial(made, positions=self.positions)
    return made(heads=self.heads, dropout=self.dropout, dtype=self.dtype, **own)
