"""Histories in, budgeted candidates out: the whole way, jitted in parts."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import histories, schema, splits
from pinrec_jax.decode import budget as budget_lib
from pinrec_jax.decode import compress, generate
from pinrec_jax.index import kinds, merge
from pinrec_jax.model import items as model_items
from pinrec_jax.model import pinrec
from pinrec_jax.types import AnyArray, Params

AT_ONCE = 8192  # items embedded, for memory
# What is left out of lists is rounded up to a multiple, so that few sizes are
# ever compiled.
LEFT_OUT = 64


class Vectors(NamedTuple):
  """What was generated for a batch of users."""

  query: Float[np.ndarray, "b q d"]  # in order of generation
  share: Float[np.ndarray, "b q"]  # after merging near-duplicates
  outcome: Int[np.ndarray, "q"]  # -1 is unspecified
  offset: Int[np.ndarray, "q"]  # seconds ahead; -1 is unspecified
  step: Int[np.ndarray, "q"]


class Candidates(NamedTuple):
  """The lists of a batch of users, best first; all [b c]."""

  item: Int[np.ndarray, "b c"]  # rows of the item table
  score: Float[np.ndarray, "b c"]  # cosine with the vector that found it
  outcome: Int[np.ndarray, "b c"]  # -1 is unspecified
  offset: Int[np.ndarray, "b c"]  # seconds ahead; -1 is unspecified
  step: Int[np.ndarray, "b c"]


@dataclasses.dataclass(frozen=True)
class Retriever:
  """A trained model with its catalogue, ready for requests."""

  config: config_lib.Config
  model: pinrec.PinRec
  params: Params
  features: model_items.ItemFeatures  # on the host, one row an item
  catalogue: Int[np.ndarray, "c"]  # item rows that may be recommended
  embedded: Float[np.ndarray, "c d"]  # its vectors, unit norm
  index: kinds.Index  # over them
  outcome_share: Float[np.ndarray, "o"]  # of the training log

  @property
  def vocabulary(self) -> schema.Vocabulary:
    """The names of outcomes and surfaces."""
    return self.model.vocabulary

  @functools.cached_property
  def place_of(self) -> Int[np.ndarray, "v"]:
    """Maps an item's row to its place in the catalogue; -1 is not in it."""
    places = np.full(len(self.features.rows), -1, np.int32)
    places[self.catalogue] = np.arange(len(self.catalogue))
    return places

  @functools.cached_property
  def known(self) -> Float[np.ndarray, "v d"]:
    """The vectors of all items, candidates or not."""
    return _embedded(self.model, self.params, self.features)

  @property
  def longest(self) -> int:
    """Tokens a history may have, its start included; generated ones follow."""
    return self.config.data.length - self.config.decode.steps + 1

  def with_decode(self, **fields: object) -> "Retriever":
    """Returns the same retriever, some fields of `config.decode` set anew."""
    decode = dataclasses.replace(self.config.decode, **fields)
    return dataclasses.replace(
      self, config=dataclasses.replace(self.config, decode=decode)
    )

  def among(self, items: Bool[np.ndarray, "v"]) -> "Retriever":
    """Returns a retriever that recommends nothing but some of the items."""
    kept = items[self.catalogue]
    embedded = self.embedded[kept]
    return dataclasses.replace(
      self,
      catalogue=self.catalogue[kept],
      embedded=embedded,
      index=kinds.build(self.config.index, embedded),
    )

  def budget(self, text: str | None = None) -> dict[str, float]:
    """Reads a budget; the default is the request's, then the log's own."""
    text = self.config.decode.budget if text is None else text
    if not self.config.model.conditioned:
      if text:
        raise ValueError(
          f"budget {text!r} asks an unconditioned model for outcomes; train "
          "with model.conditioned=True"
        )
      return {}
    if text:
      return budget_lib.parse(text, self.vocabulary)
    return budget_lib.from_shares(self.outcome_share, self.vocabulary)

  def embed(
    self, features: model_items.ItemFeatures
  ) -> Float[jax.Array, "*n d"]:
    """Returns the vectors of items, known or not."""
    return _embed(self.model, self.params, features)

  def vectors(
    self,
    tokens: histories.Tokens,
    items: Float[AnyArray, "b l d"],
    budget: Mapping[str, float],
    key: jax.Array,
    numbers: Int[np.ndarray, "b"] | None = None,
  ) -> Vectors:
    """Generates the vectors of a batch and merges near-duplicates.

    Args:
      tokens: rows of histories, padded on the left.
      items: the vectors of the tokens' items.
      budget: from `Retriever.budget`; empty asks for no outcome.
      key: of the feedback draws.
      numbers: of the users among all, on which their draws depend, and not on
        the batch; by default they are counted from 0.
    """
    decode = self.config.decode
    offsets = np.array(decode.offsets or (-1,), np.int32)
    named = [budget_lib.index(name, self.vocabulary) for name in budget] or [-1]
    outcome = np.repeat(np.array(named, np.int32), offsets.size)
    offset = np.tile(offsets, len(named))
    shares = np.repeat(list(budget.values()) or [1.0], offsets.size)
    shares = shares / offsets.size
    # Of an outcome's vectors the one for the next event, or else for the
    # nearest time ahead, is fed back.
    feedback = shares * (offset == offsets.min())
    if decode.feedback == "largest":
      feedback = np.eye(len(shares))[np.argmax(feedback)]
    users = len(tokens.item)
    numbers = np.arange(users) if numbers is None else numbers
    wanted = generate.Wanted(
      outcome=outcome + 1,
      offset=offset,
      feedback=feedback.astype(np.float32),
      surface=np.full(users, self._asked("surface"), np.int32),
      item_type=np.array(self._asked("item_type"), np.int32),
      age=np.array(self._age(), np.int32),
    )
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, numbers)
    query = generate.generate(
      self.model, self.params, items, tokens, wanted, keys,
      steps=decode.steps,
    )  # fmt: skip
    batch, steps, kinds, dim = query.shape
    query = query.reshape(batch, steps * kinds, dim)
    share = budget_lib.over_steps(shares, steps, decode.step_decay).reshape(-1)
    share = np.broadcast_to(share, (batch, share.size))
    share = compress.compress(query, share, above=decode.merge_above)
    return Vectors(
      np.asarray(query),
      np.asarray(share),
      np.tile(outcome, steps),
      np.tile(offset, steps),
      np.repeat(np.arange(steps), kinds),
    )

  def _asked(self, part: str) -> int:
    """Returns 1 + what decode names, a surface say; 0 where it names none."""
    name = getattr(self.config.decode, part)
    return 1 + getattr(self.vocabulary, part)(name) if name else 0

  def _age(self) -> int:
    """Returns the age asked for; -1, any, where training knew of none."""
    return self.config.decode.age if self.vocabulary.test_from else -1

  def search(
    self, vectors: Vectors, k: int
  ) -> tuple[Int[np.ndarray, "b q k"], Float[np.ndarray, "b q k"]]:
    """Returns the k nearest catalogue places of every vector with a share."""
    kept = vectors.share > 0
    row, score = self.index.search(vectors.query[kept], k)
    rows = np.full((*kept.shape, k), -1, np.int32)
    scores = np.full((*kept.shape, k), -np.inf, np.float32)
    rows[kept], scores[kept] = row, score
    return rows, scores

  def candidates(
    self, vectors: Vectors, seen: Sequence[Int[np.ndarray, "_"]], size: int
  ) -> Candidates:
    """Returns exactly `size` candidates a user.

    So many neighbours are fetched that none seen, and none another vector
    took, can leave a place empty.

    Args:
      vectors: of the users.
      seen: the item rows to leave out, one array a user.
      size: of each list.

    Raises:
      ValueError: if the catalogue, less what a user has seen, is too small.
    """
    places = [np.unique(self.place_of[rows]) for rows in seen]
    most = max([1, *map(len, places)])
    width = -(-most // LEFT_OUT) * LEFT_OUT
    hidden = np.full((len(seen), width), -1, np.int32)
    for user, own in enumerate(places):
      hidden[user, : len(own)] = own
    widest = int((hidden >= 0).sum(-1).max(initial=0))
    if size + widest > len(self.catalogue):
      raise ValueError(
        f"{size} candidates are wanted of a catalogue of "
        f"{len(self.catalogue)} items, {widest} of them seen; ask for at most "
        f"{len(self.catalogue) - widest}"
      )
    rows, scores = self.search(vectors, min(size + width, len(self.catalogue)))
    merged = merge.merge(rows, scores, vectors.share, hidden, size=size)
    item, query, score = (np.asarray(column) for column in merged)
    return Candidates(
      self.catalogue[item],
      score,
      vectors.outcome[query],
      vectors.offset[query],
      vectors.step[query],
    )


@functools.partial(jax.jit, static_argnames="model")
def _embed(
  model: pinrec.PinRec, params: Params, features: model_items.ItemFeatures
) -> Float[jax.Array, "*n d"]:
  return model.bind({"params": params}).embed(features)


def _embedded(
  model: pinrec.PinRec, params: Params, features: model_items.ItemFeatures
) -> Float[np.ndarray, "n d"]:
  """Returns the vectors of many items."""
  parts = [
    _embed(model, params, features.take(np.s_[start : start + AT_ONCE]))
    for start in range(0, len(features.rows), AT_ONCE)
  ]
  return np.concatenate(parts)


def of_dataset(
  config: config_lib.Config,
  model: pinrec.PinRec,
  params: Params,
  dataset: dataset_lib.Dataset,
) -> Retriever:
  """Returns a retriever over a log's candidates, its index freshly built."""
  features = model_items.features(
    dataset.items, config.model.hashes, config.model.rows
  )
  if config.model.id_dropout:
    split = splits.after_training(refit=config.train.refit)
    features = features.hide(splits.cold(dataset, split))
  catalogue = np.flatnonzero(dataset.items.candidate).astype(np.int32)
  embedded = _embedded(model, params, features.take(catalogue))
  return Retriever(
    config,
    model,
    params,
    features,
    catalogue,
    embedded,
    kinds.build(config.index, embedded),
    splits.outcome_share(dataset),
  )
