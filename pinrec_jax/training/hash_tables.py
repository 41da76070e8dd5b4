"""Training steps that update only the hash-table rows they read.

The gradient of a table is zero in all but a few thousand rows. A full gradient
costs as much time and memory as the table, and so do its moments. Here the rows
that a step reads are gathered from tables and moments. The step is computed on
them, and they are written back. Its cost does not depend on the table size.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from pinrec_jax.model import item_embedder
from pinrec_jax.types import AnyArray

# Name of a table's parameter; its optimizer moments end with it, too.
TABLE = re.compile(r"table_(\d+)$")
EPSILON = 1e-8


class Part(NamedTuple):
  """Some items, and the rows of the hash tables that they read.

  Attributes:
    item: the items, sorted; the unused places at the end hold the number of
      items.
    rows: rows of each table, sorted; the unused places at the end hold the
      table size.
    local: features of the items, with places in `rows` as their hash rows.
  """

  item: Int[Array, "r"]
  rows: Int[Array, "x r"]
  local: item_embedder.ItemFeatures

  def features(self, item: Int[AnyArray, "*n"]) -> item_embedder.ItemFeatures:
    """Returns the features of items that are in the part."""
    return self.local.take(jnp.searchsorted(self.item, item))

  def take(self, tree: Any) -> Any:
    """Returns a tree in which every table has the part's rows alone."""
    return _map_tables(
      lambda n, table: table.at[self.rows[n]].get(mode="fill", fill_value=0),
      lambda rest: rest,
      tree,
    )

  def put(self, tree: Any, part: Any) -> Any:
    """Returns the tree `part`, its rows written into the tables of `tree`."""
    return _map_tables(
      lambda n, table, rows: table.at[self.rows[n]].set(
        rows, mode="drop", indices_are_sorted=True
      ),
      lambda _, new: new,
      tree,
      part,
    )


def part(
  features: item_embedder.ItemFeatures, item: Int[Array, "r"], table_size: int
) -> Part:
  """Returns the part of the tables that some items read.

  Args:
    features: features of all items.
    item: items that a step reads, in any order; they may repeat.
    table_size: rows of each table.
  """
  items = len(features.rows)
  unique = jnp.unique(item, size=len(item), fill_value=items)
  local = features.take(jnp.minimum(unique, items - 1))
  local = local.hide(unique == items)
  # An item without an id (-1) reads no row.
  read = jnp.where(local.rows < 0, table_size, local.rows).T
  rows = jax.vmap(
    lambda own: jnp.unique(own, size=len(item), fill_value=table_size)
  )(read)
  place = jax.vmap(jnp.searchsorted)(rows, read).T
  place = jnp.where(local.rows < 0, -1, place)
  return Part(unique, rows, local._replace(rows=place))


def _map_tables(
  of_table: Callable[..., Any], of_rest: Callable[..., Any], *trees: Any
) -> Any:
  """Maps the leaves of trees with one structure.

  Args:
    of_table: maps the number of a table and its leaves.
    of_rest: maps all other leaves.
    *trees: the trees.
  """

  def _of_leaves(path: tuple, *leaves: Any) -> Any:
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    table = TABLE.search(name)
    return of_table(int(table[1]), *leaves) if table else of_rest(*leaves)

  return jax.tree.map_with_path(_of_leaves, *trees)


def labels(params: dict) -> dict:
  """Returns "tables" in place of every table and "rest" for all else."""
  return _map_tables(lambda n, _: "tables", lambda _: "rest", params)


def adagrad() -> optax.GradientTransformation:
  """Returns row-wise Adagrad: each row is scaled by its own history.

  It stores a column of one number per row, where Adam stores two numbers per
  weight (Duchi et al. 2011, with a row in place of a coordinate).
  """

  def _init(params: Any) -> Any:
    return jax.tree.map(lambda x: jnp.zeros((len(x), 1), jnp.float32), params)

  def _scale(
    gradient: Float[Array, "v d"], squares: Float[Array, "v 1"]
  ) -> Float[Array, "v d"]:
    return gradient / (jnp.sqrt(squares) + EPSILON)

  def _update(updates: Any, state: Any, params: Any = None) -> Any:
    del params
    squares = jax.tree.map(
      lambda g, s: s + jnp.mean(g * g, -1, keepdims=True), updates, state
    )
    return jax.tree.map(_scale, updates, squares), squares

  return optax.GradientTransformation(_init, _update)
