"""What the objectives cost beside next-item, and what memory negatives take.

  python benchmarks/objectives.py --output=results/objectives.json

Step times are medians over rounds in which every objective takes its turn, so
that a busy machine slows all of them alike; the ratios are what to read.
Memory is XLA's own figure for a step's temporary buffers.
"""

import argparse
import dataclasses
import pathlib
import statistics
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
import record

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset, pipeline
from pinrec_jax.losses import softmax
from pinrec_jax.model import pinrec
from pinrec_jax.training import optimizer, training_data
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=9)
  parser.add_argument("--batch", type=int, default=32)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  found = {"steps": steps(options.rounds, options.batch), "memory": memory()}
  record.write(options.output, sys.argv[1:], **found)


def steps(rounds: int, batch: int) -> dict[str, dict[str, float]]:
  """Returns the seconds of a step of every objective, at the default sizes."""
  config = config_lib.Config()
  with tempfile.TemporaryDirectory() as folder:
    config.data.prepared_dir = folder
    log = dataset.load(config.data)
  rows, corpus = training_data.packed(config, log)
  corpus = jax.tree.map(jnp.asarray, corpus)
  data = next(pipeline.batches(rows, batch=batch, seed=0))
  model = pinrec.of_config(config, log.vocabulary)
  transform = optimizer.build(config.train)
  states, seconds = {}, {}
  for turn in range(rounds + 1):
    for name in config_lib.OBJECTIVES:
      loss = dataclasses.replace(config.loss, objective=name)
      if not turn:
        states[name] = state_lib.create(model, transform, loss)
      began = time.perf_counter()
      states[name], metrics = step_lib.train_step(
        states[name], data, corpus,
        model=model, transform=transform, config=loss, seed=0,
      )  # fmt: skip
      jax.block_until_ready(metrics)
      if turn:  # the first turn compiles
        seconds.setdefault(name, []).append(time.perf_counter() - began)
  found = {}
  print("| objective | seconds a step | of next_item |\n|--|--|--|")
  for name, values in seconds.items():
    ratio = statistics.median(
      a / b for a, b in zip(values, seconds["next_item"], strict=True)
    )
    found[name] = {"seconds": statistics.median(values), "ratio": ratio}
    print(f"| {name} | {found[name]['seconds']:.3f} | {ratio:.2f} |")
  return found


def memory(queries: int = 512, dim: int = 64) -> dict[str, dict[str, float]]:
  """Returns the MiB of a gradient over many negatives, in blocks and whole."""
  found = {}
  print("| negatives | in blocks, MiB | all at once, MiB |\n|--|--|--|")
  for number in (1 << 14, 1 << 17, 1 << 20):
    sizes = {}
    for name, config in (
      ("blocks", config_lib.Loss()),
      ("whole", config_lib.Loss(chunk=queries, block=number)),
    ):

      def loss(
        query: jax.Array,
        own: jax.Array,
        item: jax.Array,
        config: config_lib.Loss = config,
        number: int = number,
      ) -> jax.Array:
        targets = softmax.Targets(
          own,
          jnp.ones(own.shape[:2], jnp.int32),
          jnp.eye(64, dtype=bool)[None].repeat(len(own), 0),
          jnp.zeros(own.shape[:2]),
        )
        negatives = softmax.Scored(
          item, jnp.arange(2, number + 2), jnp.zeros(number)
        )
        return softmax.sampled_softmax(
          query, targets, negatives, temperature=0.05, config=config
        ).sum()

      row = jax.ShapeDtypeStruct((queries // 64, 64, dim), jnp.float32)
      item = jax.ShapeDtypeStruct((number, dim), jnp.float32)
      gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
      told = gradient.lower(row, row, item).compile().memory_analysis()
      assert told is not None  # XLA tells on every platform JAX has
      sizes[name] = told.temp_size_in_bytes / 2**20
    found[str(number)] = sizes
    print(f"| {number} | {sizes['blocks']:.0f} | {sizes['whole']:.0f} |")
  return found


if __name__ == "__main__":
  main()
