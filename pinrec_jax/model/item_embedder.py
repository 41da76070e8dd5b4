"""Item vectors from hashed ids and content features."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pandas.util
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from pinrec_jax.data import schema
from pinrec_jax.types import AnyArray

# Pandas loads it lazily, which hides its type.
hash_array: Any = pandas.util.hash_array


class ItemFeatures(NamedTuple):
  """What an item is known by, one row an item."""

  rows: Int[AnyArray, "*n x"]  # its row in each hash table; -1 is no id
  categorical: Int[AnyArray, "*n g"]  # 0 is missing
  dense: Float[AnyArray, "*n f"]
  item_type: Int[AnyArray, "*n"]

  def hide(self, hidden: Bool[AnyArray, "*n"]) -> "ItemFeatures":
    """Returns the features with some items' ids left out."""
    place = jnp if isinstance(hidden, jax.Array) else np
    return self._replace(rows=place.where(hidden[..., None], -1, self.rows))

  def take(self, items: Int[AnyArray, "*n"] | slice) -> "ItemFeatures":
    """Returns the features of the items in the given rows."""
    return jax.tree.map(lambda column: column[items], self)


def hashed_rows(
  ids: Sequence[object], tables: int, rows: int
) -> Int[np.ndarray, "n x"]:
  """Returns each id's row in every hash table.

  The hash is of the id as text, so it is the same in every run, and an item
  never seen in training has rows too.
  """
  text = np.array([str(key) for key in ids], dtype=object)
  hashes = [
    hash_array(text, hash_key=f"{table:016d}", categorize=False)
    for table in range(tables)
  ]
  return np.stack([h % np.uint64(rows) for h in hashes], -1).astype(np.int32)


def features(table: schema.Items, tables: int, rows: int) -> ItemFeatures:
  """Returns the features of every row of an item table."""
  return ItemFeatures(
    hashed_rows(list(table.ids), tables, rows),
    table.categorical,
    table.dense,
    table.item_type.astype(np.int32),
  )


class ItemEmbedder(nn.Module):
  """Unit vectors of items: concatenated hash rows and content, through an MLP.

  k hash functions read k tables of width dim / k, so a collision in one table
  is told apart by the others (arXiv 2504.10507, learned id embeddings).
  Unlike the paper, the hash rows also go round the MLP: an item's own vector
  is then learned as directly as in a plain table, and far sooner. Items of
  different types, pins and queries say, may have an MLP each into the shared
  space.
  """

  dim: int
  tables: int
  rows: int
  features: tuple[schema.Feature, ...]
  content: bool
  content_width: int = 16
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, items: ItemFeatures) -> Float[Array, "*n d"]:
    # Read through a normalisation, small tables learn faster than the
    # default scale under Adam.
    small = nn.initializers.normal(0.02)
    parts = [
      self.param(f"table_{n}", small, (self.rows, self.dim // self.tables))[
        items.rows[..., n]
      ]
      for n in range(self.tables)
    ]
    own = jnp.concatenate(parts, -1) * (items.rows[..., :1] >= 0)
    parts = [own]
    if self.content:
      column = 0
      for feature in self.features:
        slots = items.categorical[..., column : column + feature.slots]
        column += feature.slots
        table = self.param(
          f"feature_{feature.name}", small, (feature.size, self.content_width)
        )
        # Slot 0 means missing, and adds nothing.
        present = (slots > 0)[..., None]
        parts.append(jnp.sum(table[slots] * present, axis=-2))
      if items.dense.shape[-1]:
        parts.append(nn.Dense(self.content_width, name="dense")(items.dense))
    x = jnp.concatenate(parts, -1).astype(self.dtype)
    y = nn.Dense(2 * self.dim, dtype=self.dtype, name="hidden")(x)
    y = nn.Dense(self.dim, dtype=self.dtype, name="out")(nn.gelu(y))
    return unit(own + y)


def unit(x: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
  """Scales vectors to length 1, in float32."""
  x = x.astype(jnp.float32)
  squared = jnp.sum(x * x, axis=-1, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(squared, 1e-12))
