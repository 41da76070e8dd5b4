"""A stack of causal blocks, over packed rows or over a cache."""

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
STACK = "blocks"  # Name of the parameters of all layers, stacked.
# From this number of layers on, one block is compiled and scanned over all of
# them. Twelve layers compile in three fifths of the time, and a step takes no
# longer (docs/benchmarks.md). Fewer layers gain less.
SCANNED_FROM = 8
# Activations kept for the backward pass; all others are computed again.
POLICIES = {
  "products": jax.checkpoint_policies.checkpoint_dots_with_no_batch_dims,
  "inputs": jax.checkpoint_policies.nothing_saveable,
}


def is_scanned(layers: int) -> bool:
  """Whether the parameters of a number of layers are stacked and scanned."""
  return layers >= SCANNED_FROM


def block(kind: str) -> Callable[..., nn.Module]:
  """Returns the class of a kind of block.

  Raises:
    ValueError: if there is none of this name.
  """
  if kind not in BLOCKS:
    raise ValueError(
      f"config.model.backbone is {kind!r}; choose from {', '.join(BLOCKS)}"
    )
  return BLOCKS[kind]


class Backbone(nn.Module):
  """History positions in, states out.

  Every kind of block reads the slots that a view allows and extends its part of
  the cache. So training, prefill and decoding are one call (arXiv 2504.10507,
  backbone).

  Attributes:
    kind: key of `BLOCKS`.
    layers: number of blocks.
    heads: attention heads of a block.
    dropout: dropout rate.
    positions: maximum number of positions of a history.
    dtype: type of activations.
    remat: "all", or a key of `POLICIES`.
  """

  kind: str
  layers: int
  heads: int
  dropout: float
  positions: int
  dtype: DTypeLike
  remat: str = "all"

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
    """Returns the states and, if a cache is given, the extended cache.

    Args:
      x: inputs of the positions.
      tokens: segments and times of the positions.
      cache: the earlier positions.
      train: whether dropout is on.
      last: whether to return the last position's state alone. The last block
        then computes the other positions' keys and values, and no more.
    """
    pasts = cache.layers if cache is not None else (None,) * self.layers
    view, cache = attention.look_back(tokens.segment, tokens.time, cache)
    x = dropout.Dropout(self.dropout, train)(x)
    if is_scanned(self.layers) and cache is None and not last:
      x, layers = self._scanned(x, view, train), []
    else:
      x, layers = self._unrolled(x, view, pasts, train, last)
    x = nn.LayerNorm(dtype=self.dtype, name="norm")(x)
    if cache is not None:
      cache = dataclasses.replace(cache, layers=tuple(layers))
    return x, cache

  def _scanned(
    self, x: Float[Array, "b l w"], view: attention.View, train: bool
  ) -> Float[Array, "b l w"]:
    """Applies one compiled block, scanned over the parameters of all layers."""

    def _apply(block: nn.Module, x: Float[Array, "b l w"], _: None):
      return block(x, view, None, train)

    scan = nn.scan(
      _apply,
      variable_axes={"params": 0},
      split_rngs={"params": True, "dropout": True},
      length=self.layers,
    )
    return scan(self._block(name=STACK), x, None)[0]

  def _unrolled(
    self,
    x: Float[Array, "b l w"],
    view: attention.View,
    pasts: Sequence[attention.KVCache | None],
    train: bool,
    last: bool,
  ) -> tuple[Float[Array, "b _ w"], list[attention.KVCache | None]]:
    """Applies the blocks one after another; each extends its own cache.

    A scan would copy the caches of all layers for every position.
    """
    layers = []
    for n, past in enumerate(pasts):
      last_only = last and n == self.layers - 1
      if is_scanned(self.layers):
        params = self.get_variable("params", STACK)
        params = jax.tree.map(operator.itemgetter(n), params)
        block = self._block(last=last_only, parent=None)
        block = block.bind({"params": params})
      else:
        block = self._block(last=last_only, name=f"block_{n}")
      x, past = block(x, view, past, train)
      layers.append(past)
    return x, layers

  def _block(self, **fields: Any) -> nn.Module:
    made = block(self.kind)
    if self.remat != "all":  # `train`, the fourth argument, is not an array.
      made = nn.remat(made, policy=POLICIES[self.remat], static_argnums=(4,))
    if self.kind == "hstu":
      made = functools.partial(made, positions=self.positions)
    return made(
      heads=self.heads, dropout=self.dropout, dtype=self.dtype, **fields
    )
