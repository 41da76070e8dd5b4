"""A large model's training step and generation, compared with lower bounds.

  python benchmarks/accelerator.py --output=results/accelerator.json

The work of a step is counted in tokens, and that of a generation in requests.
Each case has two lower bounds on its time. The first is the number of
operations of its matrix products, at the measured rate of a large product. The
second is the number of bytes it must move, at the measured rate of a copy. The
first bound divided by the measured time is the model FLOP utilization (MFU).

Without a GPU or a TPU, a small model replaces the one with a hundred million
dense parameters; --size chooses another. --profile=FOLDER also records one step
and one generation for TensorBoard's profiler.
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
import timing

from pinrec_jax import config as config_lib
from pinrec_jax import markdown, sharding
from pinrec_jax.decode import generate
from pinrec_jax.types import Params

STEPS = 6  # Of a generation, as in the paper.
BATCHES = (1, 8, 32)  # Requests in a batch. The paper has 8.
# Numbers that an update reads and writes per parameter: the parameter, its two
# moments and its gradient.
STEPPED = 8


@dataclasses.dataclass(frozen=True)
class Size:
  """A model and its batch.

  Attributes:
    width: width of the backbone.
    heads: attention heads.
    layers: blocks.
    length: positions of a history.
    rows: histories in a batch, per device.
    items: number of items.
    dtype: type of activations.
    product: side of the square matrices whose product measures the peak rate.
  """

  width: int
  heads: int
  layers: int
  length: int
  rows: int
  items: int
  dtype: str
  product: int

  def config(self, *, scan_layers: bool) -> config_lib.Config:
    """Returns the default model and loss at this size."""
    return config_lib.replace(
      config_lib.Config(),
      **{
        "data.sequence_length": self.length,
        "model.hidden_dim": self.width,
        "model.num_heads": self.heads,
        "model.num_layers": self.layers,
        "model.table_size": 1 << (self.items - 1).bit_length(),
        "model.scan_layers": scan_layers,
        "model.dtype": self.dtype,
        "train.batch_size": self.rows * jax.device_count(),
        "train.table_optimizer": "adagrad",
      },
    )


SIZES = {
  "small": Size(128, 2, 12, 128, 8, 10_000, "float32", 1024),
  "100m": Size(832, 13, 12, 1024, 16, 1_000_000, "bfloat16", 8192),
}


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  default = "small" if jax.default_backend() == "cpu" else "100m"
  parser.add_argument("--size", choices=SIZES, default=default)
  parser.add_argument("--rounds", type=int, default=10)
  parser.add_argument("--profile", type=pathlib.Path)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  size = SIZES[options.size]
  peak = rate_of_products(size), rate_of_copies()  # Of one device.
  print(f"{peak[0] / 1e12:.3g} Tflop/s, {peak[1] / 1e9:.3g} GB/s\n")
  cases, found = measured_cases(size, peak)
  seconds = timing.interleaved(cases, options.rounds)
  for name, row in found.items():
    row["p50_s"], row["p90_s"] = np.quantile(seconds[name], (0.5, 0.9)).tolist()
    row["work_per_s"] = row["work"] / row["p50_s"]
    row["mfu"] = row["operations_s"] / row["p50_s"]
  print(table(found))
  with contextlib.ExitStack() as stack:
    if options.profile:
      stack.enter_context(jax.profiler.trace(str(options.profile)))
      for case in cases.values():
        jax.block_until_ready(case())
  memory = jax.devices()[0].memory_stats() or {}
  record.write(
    options.output,
    sys.argv[1:],
    size=options.size,
    product_flops_per_s=peak[0],
    copied_bytes_per_s=peak[1],
    cases=found,
    peak_memory=memory.get("peak_bytes_in_use"),
  )


def measured_cases(
  size: Size, peak: tuple[float, float]
) -> tuple[dict[str, Callable[[], Any]], dict[str, dict[str, Any]]]:
  """Returns the cases to measure, and the lower bounds of each.

  Args:
    size: of the model.
    peak: operations per second and bytes per second of a device.
  """
  cases: dict[str, Callable[[], Any]] = {}
  found: dict[str, dict[str, Any]] = {}
  for name, scanned in (
    ("step, unrolled layers", False),
    ("step, scanned layers", True),
  ):
    config = size.config(scan_layers=scanned)
    step = growth.Step.of(config, size.items, sharding.device_mesh())
    began = time.perf_counter()
    memory = step.compiled().memory_analysis()
    assert memory is not None
    found[name] = {
      "compile_s": time.perf_counter() - began,
      "memory_bytes": memory.temp_size_in_bytes + memory.argument_size_in_bytes,
      "parameters": dense(step.state.params),
      **bounds(of_step(config, step.state.params), peak, jax.device_count()),
      "work": config.train.batch_size * size.length,  # Tokens.
    }
    cases[name] = step.take
  params = on_one_device(step)
  for batch in BATCHES:
    name = f"generation, {STEPS} steps, batch {batch}"
    found[name] = {
      **bounds(of_generation(config, params, batch), peak),
      "work": batch,  # Requests.
    }
    cases[name] = generation(step, params, batch)
  return cases, found


def best(run: Callable[[], Any], rounds: int = 5) -> float:
  """Returns the least seconds of some rounds."""
  return min(timing.interleaved({"": run}, rounds)[""])


def rate_of_products(size: Size) -> float:
  """Returns the operations per second of a large matrix product."""
  side, times = size.product, 8
  matrix = jnp.ones((side, side), size.dtype)

  @jax.jit
  def products(x: jax.Array) -> jax.Array:
    return jax.lax.fori_loop(0, times, lambda _, x: x @ matrix / side, x)

  operations = 2 * side**3 * times
  return operations / best(lambda: products(matrix))


def rate_of_copies() -> float:
  """Returns the bytes per second that are read and written."""
  numbers = jnp.ones(1 << (26 if jax.default_backend() == "cpu" else 29))
  add = jax.jit(lambda x: x + 1)
  return 2 * numbers.nbytes / best(lambda: add(numbers))


def dense(params: Params) -> int:
  """Returns the number of parameters in kernels, without the hash tables."""
  return sum(
    leaf.size
    for path, leaf in jax.tree.leaves_with_path(params)
    if jax.tree_util.keystr(path).endswith("['kernel']")
  )


def of_step(config: config_lib.Config, params: Params) -> tuple[float, float]:
  """Returns the operations of a training step, and the bytes it must move.

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
  return 3 * 2 * products, STEPPED * 4 * dense(params)


def of_generation(
  config: config_lib.Config, params: Params, batch: int, steps: int = STEPS
) -> tuple[float, float]:
  """Returns the operations of a generation, and the bytes it must move.

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
  return (
    2 * batch * (products + 2 * width * slots),
    steps * (4 * dense(params) + cache),
  )


def bounds(
  needed: tuple[float, float], peak: tuple[float, float], devices: int = 1
) -> dict[str, float]:
  """Returns the least seconds for the operations, and for the bytes.

  Operations are divided over the devices. Every device moves all parameters.
  """
  operations, moved = needed
  return {
    "operations": operations,
    "bytes": moved,
    "operations_s": operations / peak[0] / devices,
    "bytes_s": moved / peak[1],
  }


def on_one_device(step: growth.Step) -> Params:
  """Returns a copy of the parameters, because a step donates its own."""
  return jax.tree.map(jnp.asarray, sharding.on_host(step.state.params))


def generation(
  step: growth.Step, params: Params, batch: int, steps: int = STEPS
) -> functools.partial[jax.Array]:
  """Returns the generation for histories of a step's batch."""
  model, rows = step.arguments["model"], step.batch.tokens.item.shape[0]
  users, place = np.arange(batch) % rows, np.s_[: 1 - steps]
  tokens = jax.tree.map(
    lambda column: column[users, place], sharding.on_host(step.batch.tokens)
  )
  shape = (*tokens.item.shape, model.config.embedding_dim)
  inputs = jax.tree.map(jnp.asarray, (np.ones(shape, np.float32), tokens))
  return functools.partial(
    generate.generate,
    model,
    params,
    *inputs,
    decoding.requested(batch, 1),
    jax.random.split(jax.random.key(0), batch),
    steps=steps,
  )


def table(found: dict[str, dict[str, Any]]) -> str:
  """Returns one line per case as a Markdown table."""
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
      f"{row['work_per_s']:,.0f}",
      f"{row['compile_s']:.1f}" if "compile_s" in row else "",
    ]
    for name, row in found.items()
  ]
  head = [
    "",
    *times.values(),
    "MFU",
    "work per s",
    "compiling, s",
  ]
  return markdown.table(head, rows)


if __name__ == "__main__":
  main()
