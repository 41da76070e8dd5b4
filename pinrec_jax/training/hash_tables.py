"""Training steps that update only the hash-table rows they read.

The gradient of a table is zero in all but a few thousand rows. A full gradient
costs as much time and memory as the table, and so do its moments. Here the rows
that a step reads are gathered from tables and moments. The step is computed on
them, and they are written back. Its cost does not depend on the table size.

If devices split the rows of a table, each device gathers rows of its own and
writes them back. So the moments never leave their device.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from pinrec_jax import sharding
from pinrec_jax.model import item_embedder
from pinrec_jax.types import AnyArray

# Name of a table's parameter; its optimizer moments end with it, too.
TABLE = re.compile(r"table_(\d+)$")
EPSILON = 1e-8
# Places that a device has for its rows, beside twice the mean.
MARGIN = 64


class Part(NamedTuple):
  """The rows of the hash tables that a step reads.

  Attributes:
    items: features of all items.
    read: rows of each table that are read, sorted; unused places at the end
      hold the table size.
    first: place in `read` of the first row of each shard, and the number of
      rows.
    rows: the rows of each shard, counted from the shard's first row and sorted;
      unused places hold the number of the shard's rows.
    fits: whether every shard has enough places for its rows.
  """

  items: item_embedder.ItemFeatures
  read: Int[Array, "x r"]
  first: Int[Array, "x _"]
  rows: Int[Array, "x _ _"]
  fits: Bool[Array, ""]

  @property
  def size(self) -> int:
    """Rows of a table of the part, over all shards."""
    return self.rows[0].size

  def features(self, item: Int[AnyArray, "*n"]) -> item_embedder.ItemFeatures:
    """Returns features of items, with places in the part as their hash rows."""
    found = self.items.take(item)
    places = [self._place(n, found.rows[..., n]) for n in range(len(self.rows))]
    return found._replace(rows=jnp.stack(places, -1))

  def _place(self, n: int, row: Int[AnyArray, "*n"]) -> Int[Array, "*n"]:
    places = self.rows.shape[-1]
    at = jnp.searchsorted(self.read[n], row)
    # The shard of a row is the last one that starts at or before the row.
    shard = jnp.sum(at[..., None] >= self.first[n][1:-1], -1)
    return jnp.where(row < 0, -1, shard * places + at - self.first[n][shard])

  def take(self, tree: Any) -> Any:
    """Returns a tree in which every table has the part's rows alone."""

    def _take(n: int, table: Float[Array, "v _"]) -> Float[Array, "_ _"]:
      shards = table.reshape(len(self.rows[n]), -1, table.shape[-1])
      taken = jax.vmap(
        lambda own, rows: own.at[rows].get(mode="fill", fill_value=0)
      )(shards, self.rows[n])
      return taken.reshape(-1, table.shape[-1])

    return _map_tables(_take, lambda rest: rest, tree)

  def put(self, tree: Any, part: Any) -> Any:
    """Returns the tree `part`, its rows written into the tables of `tree`."""

    def _put(
      n: int, table: Float[Array, "v _"], new: Float[Array, "_ _"]
    ) -> Float[Array, "v _"]:
      count, places = self.rows[n].shape
      written = jax.vmap(
        lambda own, rows, new: own.at[rows].set(
          new, mode="drop", indices_are_sorted=True
        )
      )(
        table.reshape(count, -1, table.shape[-1]),
        self.rows[n],
        new.reshape(count, places, -1),
      )
      return written.reshape(table.shape)

    return _map_tables(_put, lambda _, new: new, tree, part)


def part(
  items: item_embedder.ItemFeatures,
  read: Sequence[Int[AnyArray, "*_"]],
  table_size: int,
  shards: int = 1,
) -> Part:
  """Returns the part of the tables that some items read.

  Args:
    items: features of all items.
    read: items that a step reads, in any order; they may repeat.
    table_size: rows of each table.
    shards: equal parts into which devices split the rows of a table.
  """
  rows = [items.rows[item].reshape(-1, items.rows.shape[-1]) for item in read]
  rows = jnp.concatenate(rows).T
  # An item without an id (-1) reads no row.
  rows = jnp.sort(jnp.where(rows < 0, table_size, rows))
  # Two sorts are faster on accelerators than jnp.unique, which scatters.
  again = jnp.pad(rows[:, 1:] == rows[:, :-1], ((0, 0), (1, 0)))
  rows = sharding.copied(jnp.sort(jnp.where(again, table_size, rows)))
  first, own, fits = jax.vmap(lambda rows: spread(rows, table_size, shards))(
    rows
  )
  return Part(items, rows, first, own, jnp.all(fits))


def spread(
  rows: Int[Array, "r"], table_size: int, shards: int
) -> tuple[Int[Array, "_"], Int[Array, "_ _"], Bool[Array, ""]]:
  """Splits rows over the shards of a table.

  Rows are hashes, so they spread evenly. A shard has places for twice the mean
  number and some more.

  Args:
    rows: different rows, sorted; `table_size` fills unused places at the end.
    table_size: rows of the table.
    shards: number of shards.

  Returns:
    The `first`, the `rows` and the `fits` of a part.
  """
  count, held = len(rows), table_size // shards
  places = count
  if shards > 1:
    places = min(count, held, 2 * count // shards + MARGIN)
  start = jnp.arange(shards + 1) * held
  first = jnp.searchsorted(rows, start)
  padded = jnp.pad(rows, (0, places), constant_values=table_size)
  own = jax.vmap(
    lambda place: jax.lax.dynamic_slice(padded, (place,), (places,))
  )(first[:-1])
  # Rows of later shards are unused places.
  own = jnp.minimum(own - start[:-1, None], held)
  return first, own, jnp.all(jnp.diff(first) <= places)


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
