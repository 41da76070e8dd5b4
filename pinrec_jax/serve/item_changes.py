"""Changes of items: from calls to stored states and to vectors."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import msgspec
import numpy as np
from jaxtyping import Float, Int

from pinrec_jax.inference import engine, wire
from pinrec_jax.model import item_embedder
from pinrec_jax.serve import item_rows, messages, stores

UNIT = 1e-3  # By which the norm of a given vector may differ from 1.


class ItemState(msgspec.Struct):
  """The state of a changed item, as it is stored.

  Attributes:
    deleted: whether the item is deleted.
    item: what the call said of it.
    bundle: version of the bundle that a given vector belongs to.
  """

  deleted: bool = False
  item: messages.NewItem | None = None
  bundle: str = ""


class Checked(NamedTuple):
  """A change that was found valid.

  Attributes:
    change: the change; its vector is missing if the model computes it.
    features: input of the model, if it computes the vector.
  """

  change: item_rows.Change
  features: item_embedder.ItemFeatures | None = None


def check(retriever: engine.Retriever, item: str, state: ItemState) -> Checked:
  """Returns the change that a state stands for.

  A vector that was given for another bundle is in another space. Then the model
  computes the vector instead.

  Raises:
    ValueError: on an unknown type or feature, or a bad vector.
  """
  if state.deleted or state.item is None:
    return Checked(item_rows.Change(item, None))
  found, given = retriever.bundle, state.item
  kind = 0
  if given.item_type:
    kind = found.vocabulary.item_type(given.item_type)
  values = _texts(given.features or {})
  codes = found.catalog.encode(values)
  own_id = _own_id(item, found.catalog.items.ids)
  change = item_rows.Change(
    item, None, own_id, kind, codes, values, given.title.strip()
  )
  if given.vector is not None:
    vector = _vector(given.vector, found.config.model.embedding_dim)
    if state.bundle == found.provenance.version:
      return Checked(change._replace(vector=vector))
  return Checked(change, _features(retriever, change))


def embed(
  retriever: engine.Retriever, checked: Sequence[Checked]
) -> list[item_rows.Change]:
  """Returns changes with all vectors that the model computes."""
  wanted = [one.features for one in checked if one.features is not None]
  vectors = iter(())
  if wanted:
    features = jax.tree.map(lambda *parts: np.concatenate(parts), *wanted)
    vectors = iter(retriever.embed(features))
  return [
    one.change
    if one.features is None
    else one.change._replace(vector=next(vectors))
    for one in checked
  ]


def known(
  retriever: engine.Retriever, stored: Sequence[stores.Change]
) -> list[item_rows.Change]:
  """Returns stored changes, for a bundle that may have other features.

  Types, features and vectors that the bundle does not know are left out.
  """
  names = retriever.bundle.vocabulary
  features = {feature.name: feature.slots for feature in names.features}
  checked = []
  for _, item, text in stored:
    state = msgspec.json.decode(text, type=ItemState)
    if (given := state.item) is not None:
      if given.item_type not in names.item_types:
        given.item_type = None
      given.features = {
        name: [*values[: features[name]]]
        for name, values in _texts(given.features or {}).items()
        if name in features
      }
      if state.bundle != retriever.bundle.provenance.version:
        given.vector = None
    checked.append(check(retriever, item, state))
  return embed(retriever, checked)


def _features(
  retriever: engine.Retriever, change: item_rows.Change
) -> item_embedder.ItemFeatures:
  """Returns the input of the model for one item.

  An item of the bundle keeps its id embedding and its dense features.
  """
  found = retriever.bundle
  assert change.codes is not None
  new = item_embedder.new_features(
    [change.item],
    change.codes[None],
    np.array([change.item_type]),
    found.config.model,
    found.vocabulary.dense,
  )
  before = found.catalog.row_of.get(change.item)
  if before is None:
    return new
  known = found.features.take(slice(before, before + 1))
  return new._replace(rows=known.rows, dense=known.dense)


def _vector(given: Sequence[float], size: int) -> Float[np.ndarray, "d"]:
  """Returns a given vector.

  Raises:
    ValueError: if its size, its numbers or its norm are wrong.
  """
  if len(given) != size:
    raise ValueError(f"vector has {len(given)} numbers; give {size}")
  vector = np.array(given, np.float64)
  norm = float(np.linalg.norm(vector))
  if not abs(norm - 1) <= UNIT:  # Also if it is NaN.
    raise ValueError(f"vector has the norm {norm:g}; give a unit vector")
  return (vector / norm).astype(np.float32)


def _texts(
  features: Mapping[str, wire.Id | list[wire.Id]],
) -> dict[str, list[str]]:
  """Returns features with lists of texts as values."""
  found = {}
  for name, value in features.items():
    values = value if isinstance(value, list) else [value]
    found[name] = [wire.id_text(one, f"features.{name}") for one in values]
  return found


def _own_id(item: str, ids: Int[np.ndarray, "v"] | np.ndarray) -> Any:
  """Returns an id in the way in which the catalog writes its ids."""
  whole = np.issubdtype(ids.dtype, np.integer)
  return int(item) if whole and item.lstrip("-").isdigit() else item
