"""A large model's training step and generation, compared with lower bounds.

  python benchmarks/accelerator.py --output=results/accelerator.json

The work of a step is counted in tokens, and that of a generation in requests.
Each case has two lower bounds on its time. The first is the number of
operations of its matrix products, at the measured rate of a large product. The
second is the number of bytes it must move, at the measured rate of a copy. The
first bound divided by the measured time is the model FLOP utilization (MFU).

Without a GPU or a TPU, a small model replaces the one with a hundred million
dense parameters; --size chooses another. Layers are scanned unless --unrolled
is given. --profile=FOLDER also records one step and one generation for
TensorBoard's profiler.
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

import bounds
import decoding
import jax
import jax.numpy as jnp
import numpy as np
import record
import timing
import training_step

from pinrec_jax import config as config_lib
from pinrec_jax import markdown, sharding
from pinrec_jax.decode import generate
from pinrec_jax.model import backbone
from pinrec_jax.types import Params

STEPS = 6  # Of a generation, as in the paper.
BATCHES = (1, 8, 32)  # Requests in a batch. The paper has 8.


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

  def config(self) -> config_lib.Config:
    """Returns the default model and loss at this size."""
    return config_lib.replace(
      config_lib.Config(),
      **{
        "data.sequence_length": self.length,
        "model.hidden_dim": self.width,
        "model.num_heads": self.heads,
        "model.num_layers": self.layers,
        "model.table_size": 1 << (self.items - 1).bit_length(),
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
  parser.add_argument("--unrolled", action="store_true")
  parser.add_argument("--profile", type=pathlib.Path)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  size = SIZES[options.size]
  if options.unrolled:
    backbone.SCANNED_FROM = size.layers + 1
  peak = bounds.peak(size.product, size.dtype)
  flops, moved = peak.flops_per_s / 1e12, peak.bytes_per_s / 1e9
  print(f"{flops:.3g} Tflop/s, {moved:.3g} GB/s\n")
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
    product_flops_per_s=peak.flops_per_s,
    copied_bytes_per_s=peak.bytes_per_s,
    cases=found,
    peak_memory=memory.get("peak_bytes_in_use"),
  )


def measured_cases(
  size: Size, peak: bounds.Peak
) -> tuple[dict[str, Callable[[], Any]], dict[str, dict[str, Any]]]:
  """Returns the cases to measure, and the lower bounds of each.

  Args:
    size: of the model.
    peak: measured rates of a device.
  """
  cases: dict[str, Callable[[], Any]] = {}
  found: dict[str, dict[str, Any]] = {}
  config = size.config()
  step = training_step.Step.random(config, size.items, sharding.device_mesh())
  began = time.perf_counter()
  memory = step.compiled().memory_analysis()
  assert memory is not None
  found["step"] = {
    "compile_s": time.perf_counter() - began,
    "memory_bytes": memory.temp_size_in_bytes + memory.argument_size_in_bytes,
    "parameters": bounds.dense(step.state.params),
    **bounds.figures(
      bounds.of_step(config, step.state.params), peak, jax.device_count()
    ),
    "work": config.train.batch_size * size.length,  # Tokens.
  }
  cases["step"] = step.take
  params = on_one_device(step)
  for batch in BATCHES:
    name = f"generation, {STEPS} steps, batch {batch}"
    found[name] = {
      **bounds.figures(
        bounds.of_generation(config, params, batch, STEPS), peak
      ),
      "work": batch,  # Requests.
    }
    cases[name] = generation(step, params, batch)
  return cases, found


def on_one_device(step: training_step.Step) -> Params:
  """Returns a copy of the parameters, because a step donates its own."""
  return jax.tree.map(jnp.asarray, sharding.on_host(step.state.params))


def generation(
  step: training_step.Step, params: Params, batch: int, steps: int = STEPS
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
