"""Softmax attention by JAX's kernel for TPUs, which keeps logits on chip."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from pinrec_jax import sharding
from pinrec_jax.model import attention

LANES = 128  # Numbers of a vector of the chip.
BLOCKS = (256, 128)  # Positions of a block; the first one that divides is used.


def fits(query: Float[Array, "b l h k"], view: attention.View) -> bool:
  """Whether the kernel can be used: on a TPU, and without a cache.

  It needs a number of positions and a head width that are multiples of 128.
  """
  return (
    jax.default_backend() == "tpu"
    and view.segment is not None
    and query.shape[1] % LANES == query.shape[3] % LANES == 0
  )


def attend(
  query: Float[Array, "b l h k"],
  key: Float[Array, "b l h k"],
  value: Float[Array, "b l h k"],
  view: attention.View,
  *,
  interpret: bool = False,
) -> Float[Array, "b l h k"]:
  """Returns the attention output of each position.

  It equals `blockwise_attention.attend`, except at padding. The kernel skips
  blocks of later positions and writes no logits to memory (arXiv 2205.14135).

  Args:
    query: queries of the positions.
    key: their keys.
    value: their values.
    view: a view without a cache.
    interpret: whether to interpret the kernel, as on a CPU.
  """
  from jax.experimental.pallas.ops.tpu import splash_attention

  _, length, heads, width = query.shape
  block = next(size for size in BLOCKS if length % size == 0)
  causal = splash_attention.CausalMask((length, length))
  kernel = splash_attention.make_splash_mha(
    splash_attention.MultiHeadMask([causal] * heads),
    block_sizes=splash_attention.BlockSizes(
      block_q=block,
      block_kv=block,
      block_q_dkv=block,
      block_kv_dkv=block,
      block_q_dq=block,
      block_kv_dq=block,
    ),
    head_shards=1,
    q_seq_shards=1,
    interpret=interpret,
  )

  def _of_rows(
    query: Float[Array, "r l h k"],
    key: Float[Array, "r l h k"],
    value: Float[Array, "r l h k"],
    segment: Int[Array, "r l"],
  ) -> Float[Array, "r l h k"]:
    heads_first = (jnp.swapaxes(x, 1, 2) for x in (query, key, value))
    segments = splash_attention.SegmentIds(segment, segment)
    output: Any = jax.vmap(kernel)(*heads_first, segments)
    return jnp.swapaxes(output, 1, 2)

  return sharding.by_rows(_of_rows)(
    query * width**-0.5, key, value, view.segment
  )
