"""Throughput of the input pipeline and of training, and opening a log.

  python benchmarks/pipeline.py --config=configs/family.py:ml_1m/sasrec \
    --source=FOLDER --output=results/pipeline.json [--config.FIELD=VALUE ...]

Pipeline and training step are measured in interleaved rounds; read their ratio.
Padding is not counted as tokens. The log is prepared first if necessary.
"""

import argparse
import itertools
import pathlib
import statistics
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import record
from absl import flags
from ml_collections import config_flags

from pinrec_jax import config as config_lib
from pinrec_jax import markdown
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import pipeline, schema
from pinrec_jax.model import pinrec
from pinrec_jax.training import optimizer, training_data
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

BUFFERED = 32  # Batches that the pipeline may have ready before a round.


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--config", required=True)
  parser.add_argument("--source", default="")
  parser.add_argument("--rounds", type=int, default=7)
  parser.add_argument("--batches", type=int, default=200, help="per round")
  parser.add_argument("--steps", type=int, default=4, help="per round")
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options, rest = parser.parse_known_args()
  values = flags.FlagValues()
  command = [f"--config={options.config}", *rest]
  argv = [sys.argv[0], *command]
  config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
  values(argv)
  config: config_lib.Config = values.config
  config.data.source = options.source
  record.write(
    options.output,
    command,
    open=opening(config.data, options.rounds),
    tokens=tokens(config, options.rounds, options.batches, options.steps),
  )


def opening(config: config_lib.Data, rounds: int) -> dict[str, Any]:
  """Returns the seconds to prepare a prepared log again, and to open it.

  The log counts as recognised if preparing it again writes no file.
  """
  folder = dataset_lib.load(config).folder
  before = _written(folder)
  prepare, load = [], []
  for _ in range(rounds):
    began = time.perf_counter()
    dataset_lib.prepare(config)
    prepare.append(time.perf_counter() - began)
    began = time.perf_counter()
    dataset_lib.load(config)
    load.append(time.perf_counter() - began)
  found = {
    "prepare_again_seconds": statistics.median(prepare),
    "load_seconds": statistics.median(load),
    "recognised": _written(folder) == before,
  }
  rows = [[name.replace("_", " "), f"{v:.3g}"] for name, v in found.items()]
  print(markdown.table(["prepared log", ""], rows))
  return found


def _written(folder: pathlib.Path) -> dict[str, int]:
  """Returns when each file of a folder was written."""
  return {
    str(path): path.stat().st_mtime_ns
    for path in folder.rglob("*")
    if path.is_file()
  }


def tokens(
  config: config_lib.Config, rounds: int, batches: int, steps: int
) -> dict[str, Any]:
  """Returns the tokens per second of the pipeline and of the training step."""
  log = dataset_lib.load(config.data)
  began = time.perf_counter()
  rows, corpus = training_data.packed(config, log)
  packing = time.perf_counter() - began
  stream = pipeline.batches(
    rows, batch=config.train.batch_size, seed=0, workers=config.data.num_workers
  )
  held = list(itertools.islice(stream, steps))
  train = _trainer(config, log, jax.tree.map(jnp.asarray, corpus))
  train(held[:1])  # Compiles.
  delivered, consumed = [], []
  for _ in range(rounds):
    for _ in itertools.islice(stream, BUFFERED):
      pass
    began = time.perf_counter()
    count = sum(_tokens(batch) for batch in itertools.islice(stream, batches))
    delivered.append(count / (time.perf_counter() - began))
    began = time.perf_counter()
    train(held)
    count = sum(map(_tokens, held))
    consumed.append(count / (time.perf_counter() - began))
  ratios = [a / b for a, b in zip(delivered, consumed, strict=True)]
  found: dict[str, Any] = {"packing_seconds": packing, "rounds": rounds}
  lines = []
  for name, values in (
    ("pipeline", delivered),
    ("training step", consumed),
    ("ratio", ratios),
  ):
    shown = statistics.median(values), min(values), max(values)
    lines.append([name, *(f"{value:,.1f}" for value in shown)])
    found[name.replace(" ", "_")] = {"median": shown[0], "values": values}
  print(markdown.table(["tokens per second", "median", "min", "max"], lines))
  return found


def _trainer(
  config: config_lib.Config, log: dataset_lib.Dataset, corpus: Any
) -> Any:
  """Returns a function that trains on batches and waits."""
  model = pinrec.of_config(config, log.vocabulary)
  transform = optimizer.build(config.train)
  state = state_lib.create(model, transform)

  def train(batches: list[schema.Batch]) -> None:
    nonlocal state
    for batch in batches:
      state, _ = step_lib.train_step(
        state,
        batch,
        corpus,
        jnp.float32(config.train.learning_rate),
        model=model,
        transform=transform,
        config=config.loss,
        seed=0,
      )
    jax.block_until_ready(state)

  return train


def _tokens(batch: schema.Batch) -> int:
  """Returns the number of positions that are not padding."""
  return int((batch.tokens.segment > 0).sum())


if __name__ == "__main__":
  main()
