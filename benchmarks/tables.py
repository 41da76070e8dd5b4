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
from typing import Any

import jax
import jax.numpy as jnp
import record
import timing

from pinrec_jax import config as config_lib
from pinrec_jax import markdown
from pinrec_jax.data import dataset, pipeline
from pinrec_jax.model import pinrec
from pinrec_jax.training import optimizer, training_data
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

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
    own = config_lib.replace(config, **{"train.table_optimizer": name})
    found[name] = measured(own, log, options)
    for size, row in found[name].items():
      cells = [name, f"{int(size):,}", f"{row['seconds']:.3f}"]
      cells += [f"{row['ratio']:.2f}", f"{row['temporary_of_tables']:.3f}"]
      print(markdown.row(cells))
    gc.collect()
  record.write(options.output, sys.argv[1:], tables=found)


class Step:
  """A training step with tables of one size."""

  def __init__(
    self, config: config_lib.Config, log: dataset.Dataset, batch: int
  ) -> None:
    rows, corpus = training_data.packed(config, log)
    self._batch = next(pipeline.batches(rows, batch=batch, seed=0))
    self._corpus = jax.tree.map(jnp.asarray, corpus)
    model = pinrec.of_config(config, log.vocabulary)
    transform = optimizer.build(config.train)
    self._state = state_lib.create(model, transform)
    self._settings = {
      "model": model,
      "transform": transform,
      "config": config.loss,
      "seed": 0,
      "rows_only": config.train.table_optimizer != "adam",
    }
    lowered = step_lib.train_step.lower(
      self._state, self._batch, self._corpus, **self._settings
    )
    memory: Any = lowered.compile().memory_analysis()
    self.temporary_bytes: int = memory.temp_size_in_bytes

  def __call__(self) -> Any:
    """Takes the step; returns what to wait for."""
    self._state, metrics = step_lib.train_step(
      self._state, self._batch, self._corpus, **self._settings
    )
    return self._state.step, metrics


def measured(
  config: config_lib.Config, log: dataset.Dataset, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
  """Returns the cost of a step for every number of rows."""
  steps = {
    size: Step(
      config_lib.replace(config, **{"model.table_size": size}),
      log,
      options.batch,
    )
    for size in options.rows
  }
  seconds = timing.interleaved(steps, options.rounds)
  found = timing.compared(seconds, options.rows[0])
  for size, row in found.items():
    tables = 4 * size * config.model.embedding_dim
    row["temporary_bytes"] = steps[size].temporary_bytes
    row["temporary_of_tables"] = row["temporary_bytes"] / tables
  return {str(size): row for size, row in found.items()}


if __name__ == "__main__":
  main()
