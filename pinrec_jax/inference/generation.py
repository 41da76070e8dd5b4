"""From the requests of a batch to generated vectors, each with its share."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pinrec_jax.data import histories, schema
from pinrec_jax.decode import conditions as conditions_lib
from pinrec_jax.decode import generate as generate_lib
from pinrec_jax.decode import merge_duplicates
from pinrec_jax.index import sharded
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.inference import items as items_lib
from pinrec_jax.inference import requests as requests_lib
from pinrec_jax.inference import sizes as sizes_lib
from pinrec_jax.model import item_embedder, pinrec
from pinrec_jax.types import AnyArray, Params

# Items that are embedded together, so that one shape is compiled.
EMBEDDED = 64


class Vectors(NamedTuple):
  """Vectors that were generated for a batch, in the order of generation.

  A request may have fewer vectors than others. The rest has a share of 0.

  Attributes:
    query: unit-norm vectors. They stay on the device for a sharded index.
    budget: share of the candidates before near-duplicates were merged.
    share: share of the candidates after that.
    outcome: index of the outcome; -1 is unspecified.
    offset: seconds ahead; -1 is the next event.
    step: generation step, from 0.
  """

  query: Float[AnyArray, "b q d"]
  budget: Float[np.ndarray, "b q"]
  share: Float[np.ndarray, "b q"]
  outcome: Int[np.ndarray, "b q"]
  offset: Int[np.ndarray, "b q"]
  step: Int[np.ndarray, "b q"]


class Inputs(NamedTuple):
  """The arrays from which the vectors of a batch are generated.

  Attributes:
    item_vectors: vectors of the items of the histories.
    tokens: the histories, padded on the left.
    conditions: of all requests.
    select: which vectors are kept, in this order.
    budget: share of each kept vector.
  """

  item_vectors: Float[AnyArray, "b l d"]
  tokens: schema.Tokens
  conditions: conditions_lib.Conditions
  select: Int[AnyArray, "b q"]
  budget: Float[AnyArray, "b q"]


def generate(
  bundle: bundle_lib.Bundle,
  items: items_lib.Items,
  params: Params,
  requests: Sequence[requests_lib.Request],
  rung: sizes_lib.Rung | None,
  length: int,
) -> Vectors:
  """Generates the vectors of a batch and merges near-duplicates.

  Args:
    bundle: the model.
    items: the items that histories may have.
    params: parameters of the model, on a device.
    requests: the batch.
    rung: the sizes to use; None rounds up to powers of two. With a rung,
      vectors without a budget are kept, too, so that their number is fixed.
    length: positions of a history; one is for the start token.
  """
  steps = rung.steps if rung else 0
  if not steps:
    steps = sizes_lib.up(max(request.ask.steps for request in requests))
  given = inputs(bundle, items, params, requests, rung, steps, length)
  query, share = vectors(
    bundle.model,
    params,
    given,
    steps=steps,
    threshold=bundle.config.decode.dedup_threshold,
  )
  conditions = given.conditions
  queries = len(conditions.outcome)
  which = np.asarray(given.select) % queries
  split = isinstance(bundle.index, sharded.Sharded)
  return Vectors(
    query=query if split else np.asarray(query),
    budget=np.asarray(given.budget),
    share=np.asarray(share),
    outcome=np.asarray(conditions.outcome)[which] - 1,
    offset=np.take_along_axis(np.asarray(conditions.offset), which, 1),
    step=(np.asarray(given.select) // queries).astype(np.int32),
  )


def inputs(
  bundle: bundle_lib.Bundle,
  items: items_lib.Items,
  params: Params,
  requests: Sequence[requests_lib.Request],
  rung: sizes_lib.Rung | None,
  steps: int,
  length: int,
) -> Inputs:
  """Returns the arrays of a batch; the arguments are as in `generate`."""
  asks = [request.ask for request in requests]
  offsets = rung.offsets if rung else 0
  if not offsets:
    offsets = sizes_lib.up(max(len(ask.offsets) for ask in asks))
  conditions, budget = conditions_lib.of_batch(
    asks, offsets=offsets, steps=steps
  )
  flat = budget.reshape(len(asks), -1)
  width = flat.shape[1]
  if not rung:
    width = min(sizes_lib.up(int((flat > 0).sum(1).max())), width)
  # Vectors with a budget come first, in the order of generation.
  select = np.argsort(flat == 0, axis=1, kind="stable")[:, :width]
  tokens = histories.serving([request.events for request in requests], length)
  return Inputs(
    _item_vectors(bundle, items, params, requests, tokens),
    tokens,
    conditions,
    select,
    np.take_along_axis(flat, select, 1),
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
  found = embed(bundle.model, params, features)
  first = 0
  for row, events, own in unknown:
    size = len(own.ids)
    # Histories end at the last position.
    vectors[row, own.place - events] = found[first : first + size]
    first += size
  return vectors


def embed(
  model: pinrec.PinRec, params: Params, features: item_embedder.ItemFeatures
) -> Float[np.ndarray, "n d"]:
  """Returns the unit-norm vectors of items, computed in one shape."""
  size = len(features.item_type)
  fill = -size % EMBEDDED
  padded = jax.tree.map(
    lambda x: np.pad(x, [(0, fill)] + [(0, 0)] * (x.ndim - 1)), features
  )
  parts = [
    np.asarray(pinrec.embed(model, params, padded.take(slice(n, n + EMBEDDED))))
    for n in range(0, size, EMBEDDED)
  ]
  return np.concatenate(parts)


@functools.partial(jax.jit, static_argnames=("model", "steps", "threshold"))
def vectors(
  model: pinrec.PinRec,
  params: Params,
  given: Inputs,
  *,
  steps: int,
  threshold: float,
) -> tuple[Float[Array, "b q d"], Float[Array, "b q"]]:
  """Returns the selected vectors and their shares after merging.

  Args:
    model: the model; a static argument, as are all that follow `given`.
    params: parameters of the model.
    given: the batch.
    steps: generation steps.
    threshold: cosine above which vectors of an outcome are merged.
  """
  query = generate_lib.generate(
    model,
    params,
    given.item_vectors,
    given.tokens,
    given.conditions,
    steps=steps,
  )
  query = query.reshape(query.shape[0], -1, query.shape[-1])
  query = jnp.take_along_axis(query, given.select[..., None], 1)
  outcome = jnp.asarray(given.conditions.outcome)
  share = merge_duplicates.merge_duplicates(
    query,
    given.budget,
    outcome[given.select % outcome.size],
    threshold=threshold,
  )
  return query, share
