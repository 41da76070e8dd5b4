"""Hash tables of which a step reads, and writes, only the rows it needs.

A table's gradient is zero but for a few thousand rows. Differentiated whole, it
costs as much memory and time as the table itself, and so do its moments. Here
the rows that a step reads are taken out of tables and moments first, the step
is made on those, and they are put back in place: its cost does not depend on
how many rows there are.
"""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from pinrec_jax.model import item_embedder
from pinrec_jax.types import AnyArray

# As in `model.items.ItemEmbedder`; an optimizer's moments end alike.
TABLE = re.compile(r"table_(\d+)$")


class Part(NamedTuple):
  """Some items, and the rows of the tables that they read."""

  item: Int[Array, "r"]  # sorted; past the last one where there are fewer
  # Of each table, sorted; one past its last row where there are fewer.
  rows: Int[Array, "x r"]
  known: (
    item_embedder.ItemFeatures
  )  # of the items, `rows` being places in the above

  def features(self, item: Int[AnyArray, "*n"]) -> item_embedder.ItemFeatures:
    """Returns the features of items that are in the part."""
    return self.known.take(jnp.searchsorted(self.item, item))

  def take(self, tree: Any) -> Any:
    """Returns a tree with the part's rows in place of every table."""
    return _of_tables(
      lambda n, table: table.at[self.rows[n]].get(mode="fill", fill_value=0),
      tree,
    )

  def put(self, tree: Any, part: Any) -> Any:
    """Returns a tree with the part's rows written into every table."""
    return _of_tables(
      lambda n, table, rows: table.at[self.rows[n]].set(
        rows, mode="drop", indices_are_sorted=True
      ),
      tree,
      part,
      otherwise=lambda _, new: new,
    )


def part(
  features: item_embedder.ItemFeatures, item: Int[Array, "r"], size: int
) -> Part:
  """Returns the part of tables that some items read.

  Args:
    features: of all items.
    item: those a step reads, in any order and as often as need be.
    size: rows of each table.
  """
  none = len(features.rows)
  there = jnp.unique(item, size=len(item), fill_value=none)
  known = features.take(jnp.minimum(there, none - 1))
  # -1 is no id; it reads nothing, as what stands in for an item does.
  known = known.hide(there == none)
  read = jnp.where(known.rows < 0, size, known.rows).T
  rows = jax.vmap(lambda own: jnp.unique(own, size=len(item), fill_value=size))(
    read
  )
  place = jax.vmap(jnp.searchsorted)(rows, read).T
  place = jnp.where(known.rows < 0, -1, place)
  return Part(there, rows, known._replace(rows=place))


def _of_tables(change: Any, *trees: Any, otherwise: Any = None) -> Any:
  """Maps trees of one structure, with the number of a table where it is one."""

  def of(path: tuple, *leaves: Any) -> Any:
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    table = TABLE.search(name)
    if table:
      return change(int(table[1]), *leaves)
    return otherwise(*leaves) if otherwise else leaves[0]

  return jax.tree.map_with_path(of, *trees)


def named(params: dict) -> dict:
  """Returns "tables" for every table and "rest" for all else, as params are."""
  rest = jax.tree.map(lambda _: "rest", params)
  return _of_tables(lambda n, _: "tables", rest)


class Squares(NamedTuple):
  """What row-wise Adagrad keeps: one number a row."""

  squares: Any  # [v 1] for a table of v rows


def adagrad(epsilon: float = 1e-8) -> optax.GradientTransformation:
  """Scales rows by the root of the sum of their mean squared gradients.

  One number a row in place of Adam's two a weight
  (Duchi et al. 2011, with a row as one coordinate).
  """

  def init(params: Any) -> Squares:
    return Squares(
      jax.tree.map(lambda x: jnp.zeros((len(x), 1), jnp.float32), params)
    )

  def scaled(
    gradient: Float[Array, "v d"], squares: Float[Array, "v 1"]
  ) -> Float[Array, "v d"]:
    return gradient / (jnp.sqrt(squares) + epsilon)

  def update(updates: Any, state: Any, params: Any = None) -> Any:
    del params
    squares = jax.tree.map(
      lambda g, s: s + jnp.mean(g * g, -1, keepdims=True),
      updates,
      state.squares,
    )
    return jax.tree.map(scaled, updates, squares), Squares(squares)

  return optax.GradientTransformation(init, update)
