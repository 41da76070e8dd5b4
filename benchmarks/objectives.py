"""The cost of each objective, and the memory that negatives take.

  python benchmarks/objectives.py --output=results/objectives.json

Step times are medians over interleaved rounds; read the ratios to next-item
prediction. Memory is XLA's figure of the temporary memory of a step.
"""

import argparse
import pathlib
import sys
import tempfile

import jax
import jax.numpy as jnp
import record
import timing
import training_step

from pinrec_jax import config as config_lib
from pinrec_jax import markdown
from pinrec_jax.data import dataset
from pinrec_jax.losses import positives, softmax

FIRST = "next_item"
NEGATIVES = (1 << 14, 1 << 17, 1 << 20)
LENGTH = 64  # Positions of a history.


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=9)
  parser.add_argument("--batch", type=int, default=32)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  times = steps(options.rounds, options.batch)
  head = ["objective", "s per step", f"vs. {FIRST}"]
  rows = [
    [name, f"{row['seconds']:.3f}", f"{row['ratio']:.2f}"]
    for name, row in times.items()
  ]
  print(markdown.table(head, rows))
  sizes = {str(number): memory(number) for number in NEGATIVES}
  head = ["negatives", "in blocks, MiB", "all at once, MiB"]
  rows = [
    [number, *(f"{mib:.0f}" for mib in row.values())]
    for number, row in sizes.items()
  ]
  print(markdown.table(head, rows))
  record.write(options.output, sys.argv[1:], steps=times, memory=sizes)


def steps(rounds: int, batch: int) -> dict[str, dict[str, float]]:
  """Returns the seconds of a step of every objective, at the default sizes."""
  config = config_lib.Config()
  with tempfile.TemporaryDirectory() as folder:
    config.data.prepared_dir = folder
    log = dataset.load(config.data)
  config.train.batch_size = batch
  one = training_step.one_device()
  cases = {
    name: training_step.Step.of_log(
      config_lib.replace(config, **{"loss.objective": name}), log, one
    ).take
    for name in positives.OBJECTIVES
  }
  return timing.compared(timing.interleaved(cases, rounds), FIRST)


def memory(
  negatives: int, queries: int = 512, dim: int = 64
) -> dict[str, float]:
  """Returns the MiB of a gradient, with negatives in blocks and all at once."""
  row = jax.ShapeDtypeStruct((queries // LENGTH, LENGTH, dim), jnp.float32)
  item = jax.ShapeDtypeStruct((negatives, dim), jnp.float32)
  found = {}
  for name, sizes in (
    ("blocks", {}),
    ("whole", {"block": negatives, "chunk": queries}),
  ):

    def loss(
      query: jax.Array,
      own: jax.Array,
      item: jax.Array,
      sizes: dict[str, int] = sizes,
    ) -> jax.Array:
      shape = own.shape[:2]
      positive = jnp.broadcast_to(jnp.eye(LENGTH, dtype=bool), (*shape, LENGTH))
      targets = softmax.Targets(
        own, jnp.ones(shape, jnp.int32), positive, jnp.zeros(shape)
      )
      number = len(item)
      return softmax.sampled_softmax(
        query,
        targets,
        softmax.Negatives(item, jnp.arange(2, number + 2), jnp.zeros(number)),
        jnp.ones(shape),
        temperature=0.05,
        config=config_lib.Loss(),
        **sizes,
      )

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
    analysis = gradient.lower(row, row, item).compile().memory_analysis()
    assert analysis is not None  # XLA has it on every platform of JAX.
    found[name] = analysis.temp_size_in_bytes / 2**20
  return found


if __name__ == "__main__":
  main()
