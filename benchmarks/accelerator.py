"""A large model's step and its answers, beside the least a device must take.

  python benchmarks/accelerator.py --output=results/accelerator.json

Two floors are reckoned for each: the operations of its products of matrices at
the rate of a large product here, and the bytes that must be moved at the rate
of a copy here. The share of the first is the model's FLOP utilization (MFU).
Without a GPU or a TPU a small model takes the place of that of a hundred
million dense parameters; --size says otherwise. --profile=FOLDER also writes a
step and an answer for TensorBoard's profiler.
"""

import argparse
import contextlib
import dataclasses
import functools
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import decoding
import growth
import jax
import jax.numpy as jnp
import numpy as np
import record

from pinrec_jax import config as config_lib
from pinrec_jax import markdown, sharding
from pinrec_jax.decode import generate
from pinrec_jax.types import Params

STEPS = 6  # of an answer, as the paper's
BATCHES = (1, 8, 32)  # requests in a batch; the paper's is 8
STEPPED = 8  # numbers a parameter: itself, its moments and gradient, in and out


@dataclasses.dataclass(frozen=True)
class Size:
  """A model and its batch."""

  width: int
  heads: int
  layers: int
  length: int
  rows: int  # of a batch on each device
  items: int
  dtype: str
  product: int  # side of the matrices whose product is the peak

  def config(self, *, stacked: bool) -> config_lib.Config:
    """Returns the default model and loss at this size."""
    config = config_lib.Config()
    model, train = config.model, config.train
    model.hidden_dim, model.num_heads, model.num_layers = (
      self.width,
      self.heads,
      self.layers,
    )
    model.dtype, model.scan_layers = self.dtype, stacked
    model.table_size = 1 << (self.items - 1).bit_length()
    config.data.sequence_length = self.length
    train.batch_size, train.table_optimizer = (
      self.rows * jax.device_count(),
      "adagrad",
    )
    return config


SIZES = {
  "small": Size(128, 2, 12, 128, 8, 10_000, "float32", 1024),
  "100m": Size(832, 13, 12, 1024, 16, 1_000_000, "bfloat16", 8192),
}


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  usual = "small" if jax.default_backend() == "cpu" else "100m"
  parser.add_argument("--size", choices=SIZES, default=usual)
  parser.add_argument("--rounds", type=int, default=10)
  parser.add_argument("--profile", type=pathlib.Path)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  size = SIZES[options.size]
  peak = rate_of_products(size), rate_of_copies()  # of a device
  print(f"{peak[0] / 1e12:.3g} Tflop/s, {peak[1] / 1e9:.3g} GB/s\n")
  cases, found = {}, {}
  for stacked in (False, True):
    name = f"step, layers {'stacked' if stacked else 'apart'}"
    config = size.config(stacked=stacked)
    step = growth.Step.of(config, size.items, sharding.device_mesh())
    began = time.perf_counter()
    memory = step.compiled().memory_analysis()
    assert memory is not None
    found[name] = {
      "compile_s": time.perf_counter() - began,
      "memory_bytes": memory.temp_size_in_bytes + memory.argument_size_in_bytes,
      "parameters": dense(step.state.params),
      **floors(of_step(config, step.state.params), peak, jax.device_count()),
      "each": config.train.batch_size * size.length,  # tokens
    }
    cases[name] = step.take
  params = held(step)
  for batch in BATCHES:
    name = f"answer, {STEPS} steps, batch {batch}"
    found[name] = {
      **floors(of_answer(config, params, batch), peak),
      "each": batch,  # requests
    }
    cases[name] = answering(step, params, batch)
  seconds = decoding.by_turns(cases, options.rounds)
  for name, row in found.items():
    row["p50_s"], row["p90_s"] = np.quantile(seconds[name], (0.5, 0.9)).tolist()
    row["each_per_s"] = row["each"] / row["p50_s"]
    row["mfu"] = row["operations_s"] / row["p50_s"]
  table(found)
  with contextlib.ExitStack() as stack:
    if options.profile:
      stack.enter_context(jax.profiler.trace(str(options.profile)))
      for case in cases.values():
        jax.block_until_ready(case())
  record.write(
    options.output, sys.argv[1:], size=options.size,
    product_flops_per_s=peak[0], copied_bytes_per_s=peak[1], found=found,
    peak_memory=(jax.devices()[0].memory_stats() or {}).get(
      "peak_bytes_in_use"
    ),
  )  # fmt: skip


def best(run: Callable[[], Any], rounds: int = 5) -> float:
  """Returns the least seconds of some rounds; the first compiles."""
  ((_, seconds),) = decoding.by_turns({"": run}, rounds).items()
  return min(seconds)


def rate_of_products(size: Size) -> float:
  """Returns the operations a second of a large product."""
  side, times = size.product, 8
  matrix = jnp.ones((side, side), size.dtype)

  @jax.jit
  def products(x: jax.Array) -> jax.Array:
    return jax.lax.fori_loop(0, times, lambda _, x: x @ matrix / side, x)

  each = 2 * side**3 * times
  return each / best(lambda: products(matrix))


def rate_of_copies() -> float:
  """Returns the bytes a second that are read and written."""
  numbers = jnp.ones(1 << (26 if jax.default_backend() == "cpu" else 29))
  add = jax.jit(lambda x: x + 1)
  return 2 * numbers.nbytes / best(lambda: add(numbers))


def dense(params: Params) -> int:
  """Returns how many numbers the kernels hold: not the tables of ids."""
  return sum(
    leaf.size
    for path, leaf in jax.tree.leaves_with_path(params)
    if jax.tree_util.keystr(path).endswith("['kernel']")
  )


def of_step(config: config_lib.Config, params: Params) -> tuple[float, float]:
  """Returns the operations of a training step, and the bytes it must move.

  A position reads itself and those before it, and is scored against all
  negatives. Backwards is twice forwards; what is computed again is not counted.
  """
  model, loss = config.model, config.loss
  tokens = config.train.batch_size * config.data.sequence_length
  read = (config.data.sequence_length + 1) / 2
  attention = 2 * model.num_layers * model.hidden_dim * read
  scored = (
    loss.in_batch_negatives + loss.uniform_negatives + 1
  ) * model.embedding_dim
  products = tokens * (dense(params) + attention + scored)
  return 3 * 2 * products, STEPPED * 4 * dense(params)


def of_answer(
  config: config_lib.Config, params: Params, batch: int, steps: int = STEPS
) -> tuple[float, float]:
  """Returns the operations of an answer's vectors, and the bytes.

  The history is read, in the last block by the last position alone, which takes
  the keys and values of all; then every step but the first goes through all
  kernels, keys and values.
  """
  model, length = config.model, config.data.sequence_length - steps + 1
  width, layers, more = model.hidden_dim, model.num_layers, steps - 1
  reading = dense(params["backbone"]) + dense(params["projection"])
  alone = 10 * width**2  # of the last block, all but its keys and values
  products = length * (reading - alone) + alone + more * reading
  products += steps * dense(params["head"])
  slots = (layers - 1) * length * (length + 1) / 2 + length
  slots += more * layers * (length + steps / 2)
  cache = 2 * batch * length * layers * width * jnp.dtype(model.dtype).itemsize
  return (
    2 * batch * (products + 2 * width * slots),
    steps * (4 * dense(params) + cache),
  )


def floors(
  needed: tuple[float, float], peak: tuple[float, float], devices: int = 1
) -> dict[str, float]:
  """Returns the least seconds for operations, and for bytes.

  Unlike operations, the bytes of parameters are those of every device.
  """
  operations, moved = needed
  return {
    "operations": operations,
    "bytes": moved,
    "operations_s": operations / peak[0] / devices,
    "bytes_s": moved / peak[1],
  }


def held(step: growth.Step) -> Params:
  """Returns the parameters on one device; a step gives its own away."""
  return jax.tree.map(jnp.asarray, sharding.on_host(step.state.params))


def answering(
  step: growth.Step, params: Params, batch: int, steps: int = STEPS
) -> functools.partial[jax.Array]:
  """Returns the generation of vectors for histories of a step's batch."""
  model, rows = step.arguments["model"], step.batch.tokens.item.shape[0]
  users, place = np.arange(batch) % rows, np.s_[: 1 - steps]
  tokens = jax.tree.map(
    lambda column: column[users, place], sharding.on_host(step.batch.tokens)
  )
  vectors = np.ones((*tokens.item.shape, model.config.dim), np.float32)
  given = jax.tree.map(jnp.asarray, (vectors, tokens))
  return functools.partial(
    generate.generate, model, params, *given, decoding.wishes(batch, 1),
    jax.random.split(jax.random.key(0), batch), steps=steps,
  )  # fmt: skip


def table(found: dict[str, dict[str, Any]]) -> None:
  """Prints a row for each."""
  times = {
    "p50_s": "p50, ms",
    "p90_s": "p90, ms",
    "operations_s": "operations, ms",
    "bytes_s": "bytes, ms",
  }
  rows = [
    [
      name,
      *(f"{1e3 * row[key]:.3g}" for key in times),
      f"{row['mfu']:.2f}",
      f"{row['each_per_s']:,.0f}",
      f"{row['compile_s']:.1f}" if "compile_s" in row else "",
    ]
    for name, row in found.items()
  ]
  head = ["", *times.values(), "MFU", "a second", "compiled in, s"]
  print(markdown.table(head, rows))


if __name__ == "__main__":
  main()
