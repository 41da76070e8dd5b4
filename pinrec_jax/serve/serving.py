"""One bundle that is served: loaded, warm, and with its live items."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from pinrec_jax import config as config_lib
from pinrec_jax.data import schema
from pinrec_jax.inference import (
  bundle,
  bundle_folders,
  candidates,
  engine,
  request_events,
  requests,
  sizes,
  wire,
)
from pinrec_jax.model import item_embedder
from pinrec_jax.serve import live_items, messages

BATCHES = (1, 4, 16)  # Sizes of batches below the largest one.
LISTS = (64, 256)  # Lengths of lists below the largest one.
UNIT = 1e-3  # By which the norm of a given vector may differ from 1.


class ItemState(msgspec.Struct):
  """The state of a changed item, as it is stored.

  Attributes:
    own_id: the id as the user wrote it.
    deleted: whether the item is deleted.
    item: what the call said of it.
    bundle: version of the bundle that a given vector belongs to.
  """

  own_id: wire.Id
  deleted: bool = False
  item: messages.NewItem | None = None
  bundle: str = ""


@dataclasses.dataclass(frozen=True)
class Serving:
  """A bundle that answers requests.

  Attributes:
    retriever: with the items of the bundle.
    live: the items as they change.
    defaults: what a request gets if it does not say otherwise.
  """

  retriever: engine.Retriever
  live: live_items.LiveItems
  defaults: requests.Defaults

  @property
  def version(self) -> str:
    """Version of the bundle."""
    return self.retriever.bundle.provenance.version

  def now(self) -> engine.Retriever:
    """Returns the retriever with the items of this moment."""
    return self.retriever.at(self.live.snapshot)

  def answer(
    self,
    given: Sequence[requests.Parsed],
    observe: candidates.Observe,
  ) -> list[Any]:
    """Returns the answers to a batch, all from one snapshot."""
    return self.now().answer(given, observe=observe)

  def change(self, item: str, state: ItemState) -> live_items.Change:
    """Returns the change that a stored state stands for.

    A vector that was given for another bundle is in another space. Then the
    model computes the vector instead.

    Raises:
      ValueError: on an unknown type or feature, or a bad vector.
    """
    if state.deleted or state.item is None:
      return live_items.Change(item, None)
    catalog = self.retriever.bundle.catalog
    given, names = state.item, catalog.vocabulary
    kind = names.item_type(given.item_type) if given.item_type else 0
    features = _texts(given.features or {})
    codes = catalog.encode({name: list(v) for name, v in features.items()})
    vector = None
    if given.vector is not None and state.bundle == self.version:
      vector = self._checked(given.vector)
    if vector is None:
      vector = self._embedded(item, kind, codes)
    return live_items.Change(
      item, vector, state.own_id, kind, codes, features
    )

  def _checked(self, given: Sequence[float]) -> np.ndarray:
    """Returns a given vector.

    Raises:
      ValueError: if its size, its numbers or its norm are wrong.
    """
    size = self.retriever.bundle.config.model.embedding_dim
    vector = np.array(given, np.float64)
    if len(given) != size:
      raise ValueError(f"vector has {len(given)} numbers; give {size}")
    norm = float(np.linalg.norm(vector))
    if not abs(norm - 1) <= UNIT:  # Also if it is NaN.
      raise ValueError(f"vector has the norm {norm:g}; give a unit vector")
    return (vector / norm).astype(np.float32)

  def _embedded(
    self, item: str, kind: int, codes: np.ndarray
  ) -> np.ndarray:
    """Returns the vector that the model computes for an item."""
    found = self.retriever.bundle
    model = found.config.model
    rows = np.full((1, model.num_hashes), -1, np.int32)
    known = found.catalog.row_of.get(item)
    if known is not None:
      rows = found.features.rows[known][None]
    elif not model.id_dropout:  # Otherwise content alone embeds a new item.
      rows = item_embedder.hashed_rows(
        [item], model.num_hashes, model.table_size
      )
    dense = np.zeros((1, found.vocabulary.dense), np.float32)
    if known is not None:
      dense = found.catalog.items.dense[known][None]
    features = item_embedder.ItemFeatures(
      rows, codes[None], dense, np.array([kind], np.int32)
    )
    return self.retriever.embed(features)[0]

  def stored_events(self, stored: Sequence[bytes]) -> schema.Events:
    """Returns stored events as arrays, unknown items included.

    Names that this bundle does not know are left out of an event.
    """
    names = self.retriever.bundle.vocabulary
    given = [
      _known(msgspec.json.decode(event, type=wire.EventFields), names)
      for event in stored
    ]
    context = np.zeros(len(given), bool)
    return request_events.read(given, context, self.live.snapshot, names)


def _known(
  event: wire.EventFields, names: schema.Vocabulary
) -> wire.EventFields:
  """Returns an event without names that a newer bundle no longer has."""
  event.actions = [a for a in event.actions or () if a in names.actions]
  if event.surface not in names.surfaces:
    event.surface = None
  return event


def _texts(
  features: dict[str, wire.Id | list[wire.Id]],
) -> dict[str, list[str]]:
  """Returns features with lists of texts as values."""
  found = {}
  for name, value in features.items():
    values = value if isinstance(value, list) else [value]
    found[name] = [wire.id_text(one, f"features.{name}") for one in values]
  return found


def load(
  folder: pathlib.Path, version: str | None, config: config_lib.Config
) -> Serving:
  """Reads a bundle, compiles all programs and returns it.

  Args:
    folder: of the bundles.
    version: of the bundle; None is the current one.
    config: of decoding, the index and the server.

  Raises:
    FileNotFoundError: if there is no such bundle.
    ValueError: if it is damaged.
  """
  given = config_lib.inference(config)
  path = bundle_folders.find(folder / version if version else folder)
  found = bundle.load(path, decode=given.decode, index=given.index)
  serve = config.serve
  # The steps of a request take places from its history.
  length = found.config.sequence_length
  ladder = sizes.Sizes(
    batch=_rungs(BATCHES, serve.max_batch),
    length=_rungs((length // 4,), length),
    steps=_rungs((1,), serve.max_steps),
    offsets=_rungs((1,), serve.max_offsets),
    lists=_rungs(LISTS, serve.max_candidates + serve.max_hidden),
    all_vectors=True,
  )
  live = live_items.LiveItems(found)
  retriever = engine.Retriever(found, items=live.snapshot, sizes=ladder)
  retriever.warm_up()
  return Serving(retriever, live, retriever.reader.defaults())


def _rungs(some: Sequence[int], last: int) -> tuple[int, ...]:
  """Returns an increasing ladder that ends with `last`."""
  return (*sorted({n for n in some if 0 < n < last}), last)
