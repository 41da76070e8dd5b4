"""From the requests of a batch to generated vectors, each with its share."""

import functools
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt

from pinrec_jax.data import histories, schema
from pinrec_jax.decode import conditions as conditions_lib
from pinrec_jax.decode import generate as generate_lib
from pinrec_jax.decode import merge_duplicates
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.inference import items as items_lib
from pinrec_jax.inference import requests as requests_lib
from pinrec_jax.inference import sizes as sizes_lib
from pinrec_jax.model import pinrec
from pinrec_jax.types import AnyArray, Params

UNKNOWN_STEP = 64  # Unknown items are padded to a multiple of this.


class Vectors(NamedTuple):
  """Vectors that were generated for a batch, in the order of generation.

  A request may have fewer vectors than others. The rest has a share of 0.

  Attributes:
    query: unit-norm vectors.
    budget: share of the candidates before near-duplicates were merged.
    share: share of the candidates after that.
    outcome: index of the outcome; -1 is unspecified.
    offset: seconds ahead; -1 is the next event.
    step: generation step, from 0.
  """

  query: Float[np.ndarray, "b q d"]
  budget: Float[np.ndarray, "b q"]
  share: Float[np.ndarray, "b q"]
  outcome: Int[np.ndarray, "b q"]
  offset: Int[np.ndarray, "b q"]
  step: Int[np.ndarray, "b q"]


def generate(
  bundle: bundle_lib.Bundle,
  items: items_lib.Items,
  params: Params,
  requests: Sequence[requests_lib.Request],
  sizes: sizes_lib.Sizes,
  length: int,
) -> Vectors:
  """Generates the vectors of a batch and merges near-duplicates.

  Args:
    bundle: the model.
    items: the items that histories may have.
    params: parameters of the model, on a device.
    requests: the batch.
    sizes: the shapes to use.
    length: positions of a history; one is for the start token.
  """
  asks = [request.ask for request in requests]
  steps = sizes_lib.up(max(ask.steps for ask in asks), sizes.steps)
  offsets = sizes_lib.up(max(len(ask.offsets) for ask in asks), sizes.offsets)
  conditions, budget = conditions_lib.of_batch(
    asks, offsets=offsets, steps=steps
  )
  flat = budget.reshape(len(asks), -1)
  width = sizes.vectors(int((flat > 0).sum(1).max()), flat.shape[1])
  # Vectors with a budget come first, in the order of generation.
  select = np.argsort(flat == 0, axis=1, kind="stable")[:, :width]
  budget = np.take_along_axis(flat, select, 1)
  tokens = histories.serving([request.events for request in requests], length)
  query, share = _generate(
    bundle.model,
    params,
    _item_vectors(bundle, items, params, requests, tokens),
    tokens,
    conditions,
    np.array([_seed(request) for request in requests], np.uint32),
    select,
    budget,
    steps=steps,
    threshold=bundle.config.decode.dedup_threshold,
    seed=bundle.config.seed,
  )
  queries = len(conditions.outcome)
  which = select % queries
  return Vectors(
    query=np.asarray(query),
    budget=budget,
    share=np.asarray(share),
    outcome=np.asarray(conditions.outcome)[which] - 1,
    offset=np.take_along_axis(np.asarray(conditions.offset), which, 1),
    step=(select // queries).astype(np.int32),
  )


def _item_vectors(
  bundle: bundle_lib.Bundle,
  items: items_lib.Items,
  params: Params,
  requests: Sequence[requests_lib.Request],
  tokens: schema.Tokens,
) -> Float[np.ndarray, "b l d"]:
  """Returns the vectors of all history items, known or not."""
  vectors = items.vectors(np.asarray(tokens.item))
  unknown = [
    (row, len(request.events), request.unknown)
    for row, request in enumerate(requests)
    if request.unknown is not None
  ]
  if not unknown:
    return vectors
  features = jax.tree.map(
    lambda *parts: np.concatenate(parts),
    *(own.features for _, _, own in unknown),
  )
  fill = -len(features.item_type) % UNKNOWN_STEP
  padded = jax.tree.map(
    lambda x: np.pad(x, [(0, fill)] + [(0, 0)] * (x.ndim - 1)), features
  )
  found = np.asarray(pinrec.embed(bundle.model, params, padded))
  first = 0
  for row, events, own in unknown:
    size = len(own.ids)
    # Histories end at the last position.
    vectors[row, own.place - events] = found[first : first + size]
    first += size
  return vectors


def _seed(request: requests_lib.Request) -> int:
  """Returns the seed of feedback draws, a function of user and request id."""
  return zlib.crc32(f"{request.user}\0{request.request_id}".encode())


@functools.partial(
  jax.jit, static_argnames=("model", "steps", "threshold", "seed")
)
def _generate(
  model: pinrec.PinRec,
  params: Params,
  item_vectors: Float[AnyArray, "b l d"],
  tokens: schema.Tokens,
  conditions: conditions_lib.Conditions,
  seeds: UInt[AnyArray, "b"],
  select: Int[AnyArray, "b q"],
  budget: Float[AnyArray, "b q"],
  *,
  steps: int,
  threshold: float,
  seed: int,
) -> tuple[Float[Array, "b q d"], Float[Array, "b q"]]:
  """Returns the selected vectors and their shares after merging."""
  keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), seeds)
  query = generate_lib.generate(
    model, params, item_vectors, tokens, conditions, keys, steps=steps
  )
  query = query.reshape(len(query), -1, query.shape[-1])
  query = jnp.take_along_axis(query, select[..., None], 1)
  share = merge_duplicates.merge_duplicates(query, budget, threshold=threshold)
  return query, share
