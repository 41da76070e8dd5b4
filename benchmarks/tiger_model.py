"""The model of TIGER, its loss and its beam search (arXiv 2305.05065)."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import semantic_ids
from jaxtyping import Array, Float, Int

from pinrec_jax import config as config_lib
from pinrec_jax.data import packing, schema
from pinrec_jax.model import attention, backbone
from pinrec_jax.types import AnyArray


class Rows(NamedTuple):
  """Tokens of histories.

  Attributes:
    token: the start token, or 1 + the number of a code over all levels.
    place: of a token in its history.
    segment: number of a history in its row; 0 is padding.
  """

  token: Int[AnyArray, "b l"]
  place: Int[AnyArray, "b l"]
  segment: Int[AnyArray, "b l"]


class Tiger(nn.Module):
  """A causal transformer over the codes of items.

  Attributes:
    sizes: number of codes at each level.
    length: longest row of tokens.
    config: sizes of the network.
  """

  sizes: tuple[int, ...]
  length: int
  config: config_lib.Model

  @nn.compact
  def __call__(
    self,
    token: Int[Array, "b l"],
    place: Int[Array, "b l"],
    segment: Int[Array, "b l"],
    cache: attention.Cache | None = None,
    *,
    train: bool = False,
    last: bool = False,
  ) -> tuple[Float[Array, "b _ t"], attention.Cache | None]:
    """Returns the logits of the next token; segment 0 is padding."""
    width, small = self.config.hidden_dim, nn.initializers.normal(0.02)
    number = semantic_ids.starts(self.sizes)[-1]
    table = self.param("tokens", small, (number, width))
    places = self.param("places", small, (self.length, width))
    x = table[token] + places[place]
    # The backbone reads no other columns.
    columns: Any = dict.fromkeys(schema.Tokens._fields)
    columns |= {"segment": segment, "time": jnp.zeros_like(segment, jnp.uint32)}
    tokens = schema.Tokens(**columns)
    x, cache = backbone.Backbone(
      "transformer",
      self.config.num_layers,
      self.config.num_heads,
      self.config.dropout,
      self.length,
      jnp.float32,
    )(x, tokens, cache, train=train, last=last)
    return x @ table.T, cache


def loss(model: Tiger, params: Any, rows: Rows, rng: Any) -> Float[Array, ""]:
  """Returns the mean cross-entropy of each code among those of its level."""
  token, place, _ = rows
  logits, _ = model.apply(params, *rows, train=True, rngs={"dropout": rng})
  begins = jnp.array(semantic_ids.starts(model.sizes))
  level = jnp.searchsorted(begins, token[:, 1:], side="right") - 1
  level = jnp.maximum(level, 0)[..., None]  # The start has no level.
  column = jnp.arange(logits.shape[-1])
  own = (column >= begins[level]) & (column < begins[level + 1])
  log_p = jax.nn.log_softmax(jnp.where(own, logits[:, :-1], -jnp.inf))
  found = jnp.take_along_axis(log_p, token[:, 1:, None], -1)[..., 0]
  real = place[:, 1:] > 0  # Neither padding nor the start of a history.
  return -jnp.where(real, found, 0).sum() / real.sum()


def tokens_of(
  items: Int[np.ndarray, "n"], ids: semantic_ids.SemanticIds
) -> Int[np.ndarray, "t"]:
  """Returns the start token and the codes of items."""
  begins = semantic_ids.starts(ids.sizes)[:-1]
  return np.append(0, (ids.codes[items] + begins).reshape(-1))


def in_rows(
  pieces: Sequence[Int[np.ndarray, "_"]], length: int, seed: int
) -> Rows:
  """Returns pieces packed into rows, for training."""
  packed = packing.pack([len(piece) for piece in pieces], length, seed)
  rows = _empty(len(packed), length)
  for row, places in enumerate(packed):
    end = 0
    for number, place in enumerate(places, start=1):
      _write(rows, row, end, pieces[place], number)
      end += len(pieces[place])
  return rows


def at_ends(pieces: Sequence[Int[np.ndarray, "_"]], length: int) -> Rows:
  """Returns a row for each piece, padded on the left, for a search."""
  rows = _empty(len(pieces), length)
  for row, piece in enumerate(pieces):
    _write(rows, row, length - len(piece), piece, 1)
  return rows


def _empty(number: int, length: int) -> Rows:
  """Returns rows of padding."""
  return Rows(*(np.zeros((number, length), int) for _ in Rows._fields))


def _write(
  rows: Rows, row: int, start: int, piece: Int[np.ndarray, "_"], segment: int
) -> None:
  """Writes a history into a row."""
  at = slice(start, start + len(piece))
  rows.token[row, at] = piece
  rows.place[row, at] = np.arange(len(piece))
  rows.segment[row, at] = segment


@functools.partial(jax.jit, static_argnames=("model", "beams"))
def search(
  model: Tiger,
  params: Any,
  children: tuple[Int[Array, "_ _"], ...],
  rows: Rows,
  *,
  beams: int,
) -> tuple[Int[Array, "b k"], Float[Array, "b k"]]:
  """Returns the likeliest next items, best first, and their log-probabilities.

  At every level, the beams that are kept lead to an item. An item of -1 fills a
  list that has fewer.
  """
  users, width = rows.token.shape
  begins, shape = semantic_ids.starts(model.sizes), model.config
  apply: Any = functools.partial(model.apply, params)
  cache = attention.empty_cache(
    users, width + len(children) - 1, shape.num_layers, shape.num_heads,
    shape.hidden_dim, jnp.float32,
  )  # fmt: skip
  logits, cache = apply(*rows, cache, last=True)
  node, score = jnp.zeros((users, 1), int), jnp.zeros((users, 1))
  place = jnp.asarray(rows.place[:, -1:])
  for level, table in enumerate(children):
    own = slice(begins[level], begins[level + 1])
    logits = logits.reshape(users, -1, logits.shape[-1])
    log_p = jax.nn.log_softmax(logits[..., own])
    below = jnp.where(node[..., None] >= 0, table[node], -1)
    every = jnp.where(below >= 0, score[..., None] + log_p, -jnp.inf)
    every = every.reshape(users, -1)
    score, best = jax.lax.top_k(every, min(beams, every.shape[1]))
    node = jnp.take_along_axis(below.reshape(users, -1), best, 1)
    if level == len(children) - 1:
      return node, score
    first = jnp.arange(users)[:, None] * log_p.shape[1]
    parent = (first + best // table.shape[1]).reshape(-1)
    cache = _of_beams(cache, parent)
    fed = (best % table.shape[1] + begins[level]).reshape(-1, 1)
    place = place[parent] + 1
    logits, cache = apply(fed, place, jnp.ones_like(fed), cache)
  raise AssertionError("an id has at least one level")


def _of_beams(
  cache: attention.Cache, parent: Int[Array, "n"]
) -> attention.Cache:
  """Returns the caches of the beams that go on."""
  return jax.tree.map(lambda own: own[parent] if jnp.ndim(own) else own, cache)
