"""What a step costs as hash tables grow, by how they are updated.

  python benchmarks/tables.py --output=results/tables.json

Step times are medians over rounds in which every size takes its turn, beside
the smallest. Memory is XLA's own figure: what a step needs beside its state,
over what the tables themselves take. Ten million rows with Adam's moments take
8 GB, and 13 while every row is updated.
"""

import argparse
import dataclasses
import gc
import pathlib
import statistics
import sys
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
import record

from pinrec_jax import config as config_lib
from pinrec_jax import markdown
from pinrec_jax.data import dataset, pipeline
from pinrec_jax.model import pinrec
from pinrec_jax.training import optimizer, training_data
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

KINDS = ("adam", "lazy_adam", "adagrad")


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
  head = [
    "update", "rows", "seconds a step", "of the smallest", "memory, x tables",
  ]  # fmt: skip
  print(markdown.table(head, []))
  for kind in KINDS:
    found[kind] = measured(kind, config, log, options)
    gc.collect()
  record.write(options.output, sys.argv[1:], tables=found)


def measured(
  kind: str,
  config: config_lib.Config,
  log: dataset.Dataset,
  options: argparse.Namespace,
) -> dict[str, dict[str, float]]:
  """Returns the cost of a step for every number of rows."""
  config.train.table_optimizer = kind
  transform = optimizer.build(config.train)
  parts, seconds = {}, {}
  for size in options.rows:
    model = dataclasses.replace(config.model, rows=size)
    own = dataclasses.replace(config, model=model)
    rows, corpus = training_data.packed(own, log)
    data = next(pipeline.batches(rows, batch=options.batch, seed=0))
    network = pinrec.of_config(own, log.vocabulary)
    arguments = {
      "model": network, "transform": transform, "config": own.loss,
      "seed": 0, "rows_only": kind != "adam",
    }  # fmt: skip
    corpus = jax.tree.map(jnp.asarray, corpus)
    state = state_lib.create(network, transform)
    lowered = step_lib.train_step.lower(state, data, corpus, **arguments)
    memory: Any = lowered.compile().memory_analysis()
    parts[size] = [state, data, corpus, arguments, memory.temp_size_in_bytes]
  for turn in range(options.rounds + 1):
    for size, part in parts.items():
      state, data, corpus, arguments, _ = part
      began = time.perf_counter()
      part[0], metrics = step_lib.train_step(state, data, corpus, **arguments)
      jax.block_until_ready((part[0].step, metrics))
      if turn:  # the first turn compiles
        seconds.setdefault(size, []).append(time.perf_counter() - began)
  found = {}
  smallest = seconds[options.rows[0]]
  for size, values in seconds.items():
    ratio = statistics.median(
      a / b for a, b in zip(values, smallest, strict=True)
    )
    tables = 4 * size * config.model.embedding_dim
    beside = parts[size][-1] / tables
    found[str(size)] = {
      "seconds": statistics.median(values),
      "ratio": ratio,
      "temporary_bytes": parts[size][-1],
      "temporary_of_tables": beside,
    }
    took = f"{found[str(size)]['seconds']:.3f}"
    cells = [kind, f"{size:,}", took, f"{ratio:.2f}", f"{beside:.3f}"]
    print(markdown.row(cells))
  return found


if __name__ == "__main__":
  main()
