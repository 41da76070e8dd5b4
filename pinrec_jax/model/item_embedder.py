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

from pinrec_jax import config as config_lib
from pinrec_jax import sharding
from pinrec_jax.data import schema
from pinrec_jax.types import AnyArray

CONTENT_DIM = 16  # Size of a feature's vector.
# Pandas loads it lazily, which hides its type.
hash_array: Any = pandas.util.hash_array


class ItemFeatures(NamedTuple):
  """Features of items.

  Attributes:
    rows: row of the item in each hash table; -1 is an unknown id.
    categorical: codes of all slots of all features; 0 is missing.
    dense: numbers.
    item_type: index of the item type.
  """

  rows: Int[AnyArray, "*n x"]
  categorical: Int[AnyArray, "*n g"]
  dense: Float[AnyArray, "*n f"]
  item_type: Int[AnyArray, "*n"]

  def hide(self, hidden: Bool[AnyArray, "*n"]) -> "ItemFeatures":
    """Returns the features without the ids of the marked items."""
    place = jnp if isinstance(hidden, jax.Array) else np
    return self._replace(rows=place.where(hidden[..., None], -1, self.rows))

  def take(self, items: Int[AnyArray, "*n"] | slice) -> "ItemFeatures":
    """Returns the features of the items in the given rows."""
    return jax.tree.map(lambda column: column[items], self)


def hashed_rows(
  ids: Sequence[object], num_hashes: int, table_size: int
) -> Int[np.ndarray, "n x"]:
  """Returns the row of each id in every hash table.

  The id is hashed as text, so its rows are the same in every run. An item that
  was never seen in training has rows, too.
  """
  text = np.array([str(key) for key in ids], dtype=object)
  hashes = [
    hash_array(text, hash_key=f"{table:016d}", categorize=False)
    for table in range(num_hashes)
  ]
  rows = np.stack([h % np.uint64(table_size) for h in hashes], -1)
  return rows.astype(np.int32)


def new_features(
  ids: Sequence[str],
  categorical: Int[np.ndarray, "n g"],
  item_type: Int[np.ndarray, "n"],
  config: config_lib.Model,
  dense: int,
) -> ItemFeatures:
  """Returns the features of items that the catalog does not have.

  A model that was trained with dropped ids embeds them from content alone.

  Args:
    ids: their ids.
    categorical: codes of their categorical features.
    item_type: indices of their types.
    config: of the model.
    dense: how many numbers an item has; theirs are 0.
  """
  rows = np.full((len(ids), config.num_hashes), -1, np.int32)
  if not config.id_dropout:
    rows = hashed_rows(ids, config.num_hashes, config.table_size)
  numbers = np.zeros((len(ids), dense), np.float32)
  return ItemFeatures(rows, categorical, numbers, item_type.astype(np.int32))


def features(
  items: schema.Items, num_hashes: int, table_size: int
) -> ItemFeatures:
  """Returns the features of every row of an item table."""
  return ItemFeatures(
    hashed_rows(list(items.ids), num_hashes, table_size),
    items.categorical,
    items.dense,
    items.item_type.astype(np.int32),
  )


class ItemEmbedder(nn.Module):
  """Unit-norm item vectors: an MLP over hashed ids and content features.

  Each hash function reads a table of its own. Two items that collide in one
  table differ in the others (arXiv 2504.10507, learned id embeddings). Unlike
  the paper, the rows of an id are also added to the output of the MLP. An
  item's vector is then learned as directly as in a plain table, and sooner.

  Attributes:
    embedding_dim: size of an item vector.
    num_hashes: number of hash tables; each gives an equal part of the vector.
    table_size: rows of a hash table.
    features: categorical features.
    content: whether content features are read.
    dtype: type of activations.
  """

  embedding_dim: int
  num_hashes: int
  table_size: int
  features: tuple[schema.Feature, ...]
  content: bool
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, items: ItemFeatures) -> Float[Array, "*n d"]:
    # Since the vectors are normalized, Adam learns faster from small initial
    # values than from Flax's default.
    small = nn.initializers.normal(0.02)
    shape = (self.table_size, self.embedding_dim // self.num_hashes)
    parts = [
      sharding.look_up(
        self.param(f"table_{n}", small, shape), items.rows[..., n]
      )
      for n in range(self.num_hashes)
    ]
    of_id = jnp.concatenate(parts, -1) * (items.rows[..., :1] >= 0)
    parts = [of_id]
    if self.content:
      column = 0
      for feature in self.features:
        slots = items.categorical[..., column : column + feature.slots]
        column += feature.slots
        table = self.param(
          f"feature_{feature.name}", small, (feature.size, CONTENT_DIM)
        )
        # Code 0 means missing and adds nothing.
        present = (slots > 0)[..., None]
        parts.append(jnp.sum(table[slots] * present, axis=-2))
      if items.dense.shape[-1]:
        parts.append(nn.Dense(CONTENT_DIM, name="dense")(items.dense))
    x = jnp.concatenate(parts, -1).astype(self.dtype)
    y = nn.Dense(2 * self.embedding_dim, dtype=self.dtype, name="hidden")(x)
    y = nn.Dense(self.embedding_dim, dtype=self.dtype, name="out")(nn.gelu(y))
    return unit(of_id + y)


def unit(x: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
  """Scales vectors to length 1, in float32."""
  x = x.astype(jnp.float32)
  squared = jnp.sum(x * x, axis=-1, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(squared, 1e-12))
