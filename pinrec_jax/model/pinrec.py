"""PinRec: histories in, predicted item vectors out."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import schema
from pinrec_jax.model import (
  attention,
  backbone,
  head,
  item_embedder,
  time_encoding,
)
from pinrec_jax.types import AnyArray, Params

EMBEDDED_AT_ONCE = 8192  # Items, to bound memory.
FITTED_OFFSETS = 3  # Edges that are fitted to a log's gaps.


class PinRec(nn.Module):
  """The one public model (arXiv 2504.10507).

  `embed` gives the vectors of items, `states` reads a history (a whole row,
  or the next tokens of a cache), `queries` predicts from a state under a
  condition.
  """

  config: config_lib.Model
  vocabulary: schema.Vocabulary
  positions: int  # the longest history and what is generated after it
  temperature: float = 0.05  # initial value

  def setup(self) -> None:
    """Declares the parts."""
    config, vocabulary = self.config, self.vocabulary
    dtype = jnp.dtype(config.dtype)
    small = nn.initializers.normal(0.02)
    self.item_embedder = item_embedder.ItemEmbedder(
      config.embedding_dim,
      config.num_hashes,
      config.table_size,
      vocabulary.features,
      "content" in config.inputs,
      dtype=dtype,
    )
    if "context" in config.inputs:
      self.time_encoding = time_encoding.TimeEncoding()
      self.surface = nn.Embed(len(vocabulary.surfaces), config.hidden_dim)
    if "context" in config.inputs or config.head != "state":
      self.projection = nn.Dense(config.hidden_dim, dtype=dtype)
    self.start = self.param("start", small, (config.embedding_dim,))
    self.position = self.param(
      "position", small, (self.positions, config.hidden_dim)
    )
    if "actions" in config.inputs:
      self.action = nn.Dense(config.hidden_dim, use_bias=False)
    self.backbone = backbone.Backbone(
      config.backbone,
      config.num_layers,
      config.num_heads,
      config.dropout,
      self.positions,
      dtype,
      config.remat,
      config.scan_layers,
    )
    self.head = head.OutcomeHead(
      config.embedding_dim,
      vocabulary.outcomes,
      len(vocabulary.surfaces),
      self.buckets,
      len(vocabulary.item_types),
      len(config.age_edges) + 1,
      config.conditioned,
      config.head,
      dtype,
    )
    self.log_temperature = self.param(
      "log_temperature",
      nn.initializers.constant(jnp.log(self.temperature)),
      (),
    )

  def embed(
    self, features: item_embedder.ItemFeatures, *, train: bool = False
  ) -> Float[Array, "*n d"]:
    """Returns the unit vectors of items; in training some lack their id."""
    rate = self.config.id_dropout
    if train and rate:
      shape = features.rows.shape[:-1]
      hidden = jax.random.bernoulli(self.make_rng("dropout"), rate, shape)
      features = features.hide(hidden)
    return self.item_embedder(features)

  def states(
    self,
    vectors: Float[Array, "b l d"],
    tokens: schema.Tokens,
    cache: attention.Cache | None = None,
    *,
    train: bool = False,
    last: bool = False,
  ) -> tuple[Float[Array, "b _ w"], attention.Cache | None]:
    """Reads tokens and returns a state for each.

    Args:
      vectors: the tokens' item vectors, or generated vectors fed back.
      tokens: everything else about them; `item` only tells the start token.
      cache: what was read before; the tokens extend it.
      train: whether dropout is on.
      last: only the last token's state is wanted.
    """
    starts = (tokens.position == 0)[..., None]
    vectors = jnp.where(starts, self.start, vectors)
    if self.config.scale_embeddings:
      vectors = vectors * self.config.embedding_dim**0.5
    # What is projected; states in the space of items take vectors as they are.
    parts = [] if self.config.head == "state" else [vectors]
    x = jnp.zeros(()) if parts else vectors
    if "context" in self.config.inputs:
      parts.append(self.time_encoding(tokens.time, tokens.gap))
    if parts:
      # As one matrix: the gradient of the kernel is then a plain product.
      flat = jnp.concatenate(parts, -1)
      flat = self.projection(flat.reshape(-1, flat.shape[-1]))
      x = x + flat.reshape(*vectors.shape[:-1], -1)
    place = tokens.position
    if self.config.positions == "end":
      place = self.positions - 1 - tokens.after
    x = x + self.position[place]
    if "context" in self.config.inputs:
      x = x + self.surface(tokens.surface)
    if "actions" in self.config.inputs:
      x = x + self.action(tokens.actions.astype(x.dtype))
    return self.backbone(x, tokens, cache, train=train, last=last)

  def queries(
    self, states: Float[Array, "*b w"], condition: head.Condition
  ) -> Float[Array, "*b d"]:
    """Returns unit vectors near the items that should come next."""
    return self.head(states, condition)

  @property
  def edges(self) -> tuple[int, ...]:
    """Seconds ahead at which one offset bucket ends and the next begins."""
    config = self.config
    return config.offset_edges or self.vocabulary.gap_edges(FITTED_OFFSETS)

  @property
  def buckets(self) -> int:
    """How many ranges of time ahead are told apart."""
    return len(self.edges) + 1

  def bucket(self, gap: Int[AnyArray, "*b"]) -> Int[Array, "*b"]:
    """Returns the bucket of a time ahead, from 1; an unknown one (-1) is 0."""
    return _bucket(gap, self.edges)

  def age_bucket(self, age: Int[AnyArray, "*b"]) -> Int[Array, "*b"]:
    """Returns the bucket of a target's age when training ended, likewise."""
    return _bucket(age, self.config.age_edges)

  def temperatures(self) -> Float[Array, ""]:
    """Returns the learned softmax temperature, at least 0.01."""
    return jnp.maximum(jnp.exp(self.log_temperature), 0.01)

  def __call__(
    self, features: item_embedder.ItemFeatures, tokens: schema.Tokens
  ) -> Float[Array, "b l d"]:
    """Touches every parameter; for initialisation."""
    states, _ = self.states(self.embed(features.take(tokens.item)), tokens)
    return self.queries(states, head.UNSPECIFIED)


def _bucket(
  seconds: Int[AnyArray, "*b"], edges: tuple[int, ...]
) -> Int[Array, "*b"]:
  found = jnp.searchsorted(jnp.array(edges, jnp.int32), seconds, side="right")
  return jnp.where(jnp.asarray(seconds) < 0, 0, 1 + found)


def of_config(
  config: config_lib.Config, vocabulary: schema.Vocabulary
) -> PinRec:
  """Returns the model of a training configuration, for one log."""
  return PinRec(
    config.model,
    vocabulary,
    positions=config.data.sequence_length,
    temperature=config.loss.temperature,
  )


def of_inference(
  config: config_lib.Inference, vocabulary: schema.Vocabulary
) -> PinRec:
  """Returns the model of a bundle."""
  return PinRec(config.model, vocabulary, positions=config.sequence_length)


@functools.partial(jax.jit, static_argnames="model")
def embed(
  model: PinRec, params: Params, features: item_embedder.ItemFeatures
) -> Float[Array, "*n d"]:
  """Returns the unit-norm vectors of items."""
  return model.bind({"params": params}).embed(features)


def embed_items(
  model: PinRec, params: Params, features: item_embedder.ItemFeatures
) -> Float[np.ndarray, "n d"]:
  """Returns the unit-norm vectors of many items, on the host."""
  starts = range(0, len(features.rows), EMBEDDED_AT_ONCE)
  parts = [
    embed(model, params, features.take(slice(start, start + EMBEDDED_AT_ONCE)))
    for start in starts
  ]
  return np.concatenate(parts)
