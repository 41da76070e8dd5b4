"""The cost of a training step as hash tables grow, by table optimizer.

  python benchmarks/tables.py --output=results/tables.json

Step times are medians over interleaved rounds, compared with the smallest
table. Memory is XLA's figure of the temporary memory of a step, compared with
the memory of the tables. Ten million rows with Adam's moments take 8 GB, and
13 GB while every row is updated.
"""

import argparse
import gc
import pathlib
import sys
import tempfile

import record
import timing
import training_step

from pinrec_jax import config as config_lib
from pinrec_jax import markdown
from pinrec_jax.data import dataset

OPTIMIZERS = ("adam", "lazy_adam", "adagrad")
HEAD = ("optimizer", "rows", "s per step", "vs. smallest", "memory, x tables")


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=9)
  parser.add_argument("--batch", type=int, default=32)
  parser.add_argument(
    "--rows", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000]
  )
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  config = config_lib.Config()
  with tempfile.TemporaryDirectory() as folder:
    config.data.prepared_dir = folder
    log = dataset.load(config.data)
  found = {}
  print(markdown.table(HEAD, []))
  for name in OPTIMIZERS:
    fields = {
      "train.table_optimizer": name,
      "train.batch_size": options.batch,
    }
    own = config_lib.replace(config, **fields)
    found[name] = measured(own, log, options)
    for size, row in found[name].items():
      cells = [name, f"{int(size):,}", f"{row['seconds']:.3f}"]
      cells += [f"{row['ratio']:.2f}", f"{row['temporary_of_tables']:.3f}"]
      print(markdown.row(cells))
    gc.collect()
  record.write(options.output, sys.argv[1:], tables=found)


def measured(
  config: config_lib.Config, log: dataset.Dataset, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
  """Returns the cost of a step for every number of rows."""
  one = training_step.one_device()
  steps = {
    size: training_step.Step.of_log(
      config_lib.replace(config, **{"model.table_size": size}), log, one
    )
    for size in options.rows
  }
  temporary = {size: _temporary_bytes(step) for size, step in steps.items()}
  cases = {size: step.take for size, step in steps.items()}
  seconds = timing.interleaved(cases, options.rounds)
  found = timing.compared(seconds, options.rows[0])
  for size, row in found.items():
    tables = 4 * size * config.model.embedding_dim
    row["temporary_bytes"] = temporary[size]
    row["temporary_of_tables"] = row["temporary_bytes"] / tables
  return {str(size): row for size, row in found.items()}


def _temporary_bytes(step: training_step.Step) -> int:
  memory = step.compiled().memory_analysis()
  assert memory is not None  # XLA has it on every platform of JAX.
  return memory.temp_size_in_bytes


if __name__ == "__main__":
  main()
