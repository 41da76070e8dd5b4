"""The PinRec model: histories in, predicted item vectors out."""

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

EMBED_BATCH = 8192  # Items that are embedded at a time, to bound memory.
FITTED_OFFSETS = 3  # Edges that are fitted to a log's gaps.
TEMPERATURE = 0.05  # Initial softmax temperature; it is learned.
MIN_TEMPERATURE = 0.01


class PinRec(nn.Module):
  """The model (arXiv 2504.10507).

  `embed` returns the vectors of items. `states` reads a history: whole rows, or
  the next tokens after a cache. `queries` predicts from a state under a
  condition.

  Attributes:
    config: sizes and options.
    vocabulary: names and features of the log.
    positions: maximum length of a history with its generated vectors.
  """

  config: config_lib.Model
  vocabulary: schema.Vocabulary
  positions: int

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
      dtype,
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
      nn.initializers.constant(jnp.log(TEMPERATURE)),
      (),
    )

  def embed(
    self, features: item_embedder.ItemFeatures, *, train: bool = False
  ) -> Float[Array, "*n d"]:
    """Returns the unit-norm vectors of items.

    In training, ids are dropped at the configured rate.
    """
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
    """Returns a state for each token, and the extended cache.

    Args:
      vectors: item vectors of the tokens, or generated vectors that are fed
        back.
      tokens: all other inputs. Their items are not read.
      cache: the earlier tokens.
      train: whether dropout is on.
      last: whether to return the last token's state alone.
    """
    starts = (tokens.position == 0)[..., None]
    vectors = jnp.where(starts, self.start, vectors)
    if self.config.scale_embeddings:
      vectors = vectors * self.config.embedding_dim**0.5
    # A head of kind "state" needs states in the space of items. So it reads
    # item vectors without a projection.
    parts = [] if self.config.head == "state" else [vectors]
    x = jnp.zeros(()) if parts else vectors
    if "context" in self.config.inputs:
      parts.append(self.time_encoding(tokens.time, tokens.gap))
    if parts:
      # Flattened to a matrix, the kernel's gradient is a plain product.
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
    """Returns unit-norm predictions of the next item's vector."""
    return self.head(states, condition)

  @property
  def edges(self) -> tuple[int, ...]:
    """Edges between the buckets of time ahead, in seconds."""
    config = self.config
    return config.offset_edges or self.vocabulary.gap_edges(FITTED_OFFSETS)

  @property
  def buckets(self) -> int:
    """Number of buckets of time ahead."""
    return len(self.edges) + 1

  def bucket(self, seconds: Int[AnyArray, "*b"]) -> Int[Array, "*b"]:
    """Returns the bucket of a time ahead, from 1; 0 for an unknown one (-1)."""
    return _bucket(seconds, self.edges)

  def age_bucket(self, age: Int[AnyArray, "*b"]) -> Int[Array, "*b"]:
    """Returns the bucket of a target age, from 1; 0 for an unknown one (-1)."""
    return _bucket(age, self.config.age_edges)

  def softmax_temperature(self) -> Float[Array, ""]:
    """Returns the learned softmax temperature."""
    return jnp.maximum(jnp.exp(self.log_temperature), MIN_TEMPERATURE)

  def __call__(
    self, features: item_embedder.ItemFeatures, tokens: schema.Tokens
  ) -> Float[Array, "b l d"]:
    """Uses every parameter, so that `init` creates all of them."""
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
  return PinRec(config.model, vocabulary, positions=config.data.sequence_length)


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
  parts = [
    embed(model, params, features.take(slice(start, start + EMBED_BATCH)))
    for start in range(0, len(features.rows), EMBED_BATCH)
  ]
  return np.concatenate(parts)
