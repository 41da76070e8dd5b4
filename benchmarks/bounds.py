"""Lower bounds on the time of a training step and of a generation.

The first bound is the number of operations of the matrix products, at the rate
of a large product. The second bound is the number of bytes that must be moved,
at the rate of a copy.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import timing

from pinrec_jax import config as config_lib
from pinrec_jax.types import Params

# Numbers that an update reads and writes per parameter: the parameter, its two
# moments and its gradient.
STEPPED = 8


class Needs(NamedTuple):
  """What a computation needs at least."""

  operations: float
  bytes: float


class Peak(NamedTuple):
  """The measured rates of a device."""

  flops_per_s: float
  bytes_per_s: float


def peak(side: int, dtype: str) -> Peak:
  """Measures the rates of a device.

  Args:
    side: of the square matrices that are multiplied.
    dtype: type of their numbers.
  """
  return Peak(_rate_of_products(side, dtype), _rate_of_copies())


def _fastest(run: Callable[[], Any], rounds: int = 5) -> float:
  """Returns the least seconds of some rounds."""
  return min(timing.interleaved({"": run}, rounds)[""])


def _rate_of_products(side: int, dtype: str) -> float:
  """Returns the operations per second of a large matrix product."""
  times = 8
  matrix = jnp.ones((side, side), dtype)

  @jax.jit
  def products(x: jax.Array) -> jax.Array:
    return jax.lax.fori_loop(0, times, lambda _, x: x @ matrix / side, x)

  return 2 * side**3 * times / _fastest(lambda: products(matrix))


def _rate_of_copies() -> float:
  """Returns the bytes per second that are read and written."""
  numbers = jnp.ones(1 << (26 if jax.default_backend() == "cpu" else 29))
  add = jax.jit(lambda x: x + 1)
  return 2 * numbers.nbytes / _fastest(lambda: add(numbers))


def dense(params: Params) -> int:
  """Returns the number of parameters in kernels, without the hash tables."""
  return sum(
    leaf.size
    for path, leaf in jax.tree.leaves_with_path(params)
    if jax.tree_util.keystr(path).endswith("['kernel']")
  )


def of_step(config: config_lib.Config, params: Params) -> Needs:
  """Returns what a training step needs.

  A position attends to itself and the positions before it, and is scored with
  all negatives. The backward pass has twice the operations of the forward pass.
  Recomputed activations are not counted.
  """
  model, loss = config.model, config.loss
  tokens = config.train.batch_size * config.data.sequence_length
  attended = (config.data.sequence_length + 1) / 2
  attention = 2 * model.num_layers * model.hidden_dim * attended
  items = loss.in_batch_negatives + loss.uniform_negatives + 1
  products = tokens * (dense(params) + attention + items * model.embedding_dim)
  return Needs(3 * 2 * products, STEPPED * 4 * dense(params))


def of_generation(
  config: config_lib.Config, params: Params, batch: int, steps: int
) -> Needs:
  """Returns what a generation needs.

  The prefill reads the history. Its last block computes the last position
  alone, with the keys and values of all. Every further step reads all kernels,
  keys and values.
  """
  model, length = config.model, config.data.sequence_length - steps + 1
  width, layers, more = model.hidden_dim, model.num_layers, steps - 1
  reading = dense(params["backbone"]) + dense(params["projection"])
  alone = 10 * width**2  # Of the last block, without its keys and values.
  products = length * (reading - alone) + alone + more * reading
  products += steps * dense(params["head"])
  slots = (layers - 1) * length * (length + 1) / 2 + length
  slots += more * layers * (length + steps / 2)
  cache = 2 * batch * length * layers * width * jnp.dtype(model.dtype).itemsize
  return Needs(
    2 * batch * (products + 2 * width * slots),
    steps * (4 * dense(params) + cache),
  )


def figures(needs: Needs, peak: Peak, devices: int = 1) -> dict[str, float]:
  """Returns the needs, and the least seconds that they take.

  Operations are divided over the devices. Every device moves all parameters.
  """
  return {
    "operations": needs.operations,
    "bytes": needs.bytes,
    "operations_s": needs.operations / peak.flops_per_s / devices,
    "bytes_s": needs.bytes / peak.bytes_per_s,
  }
