"""What the pipeline delivers beside what training takes, and how logs open.

  python benchmarks/pipeline.py --config=configs/family.py:ml_1m/sasrec \
    --source=FOLDER --output=results/pipeline.json [--config.FIELD=VALUE ...]

Pipeline and training step take turns, so that a busy machine slows both
alike; the ratio is what to read. Tokens are those that hold an event or a
start, not padding. The log is prepared first if it has to be.
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
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import pipeline, schema
from pinrec_jax.model import pinrec
from pinrec_jax.training import optimizer, training_data
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

BUFFERED = 32  # batches the pipeline may have ready before a round

_CONFIG = config_flags.DEFINE_config_file("config")


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--config", required=True)
  parser.add_argument("--source", default="")
  parser.add_argument("--rounds", type=int, default=7)
  parser.add_argument("--batches", type=int, default=200, help="a round")
  parser.add_argument("--steps", type=int, default=4, help="a round")
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options, rest = parser.parse_known_args()
  flags.FLAGS([sys.argv[0], f"--config={options.config}", *rest])
  config: config_lib.Config = _CONFIG.value
  config.data.source = options.source
  record.write(
    options.output,
    [f"--config={options.config}", *rest],
    open=opening(config.data, options.rounds),
    tokens=tokens(config, options.rounds, options.batches, options.steps),
  )


def opening(config: config_lib.Data, rounds: int) -> dict[str, Any]:
  """Returns the seconds to prepare and open a log that is prepared.

  It is recognised if preparing it again writes no file anew.
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
  print("| prepared log | |\n|--|--|")
  for name, value in found.items():
    shown = value if isinstance(value, bool) else f"{value:.2f}"
    print(f"| {name.replace('_', ' ')} | {shown} |")
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
  """Returns the tokens a second of the pipeline and of the training step."""
  log = dataset_lib.load(config.data)
  began = time.perf_counter()
  rows, corpus = training_data.packed(config, log)
  packing = time.perf_counter() - began
  stream = pipeline.batches(
    rows, batch=config.train.batch_size, seed=0, workers=config.data.num_workers
  )
  corpus = jax.tree.map(jnp.asarray, corpus)
  model = pinrec.of_config(config, log.vocabulary)
  transform = optimizer.build(config.train)
  state = state_lib.create(model, transform)
  held = list(itertools.islice(stream, steps))

  def step(
    state: state_lib.State, batch: schema.Batch
  ) -> tuple[state_lib.State, step_lib.Metrics]:
    return step_lib.train_step(
      state, batch, corpus,
      model=model, transform=transform, config=config.loss, seed=0,
    )  # fmt: skip

  state, metrics = step(state, held[0])
  jax.block_until_ready(metrics)  # compiled
  delivered, consumed = [], []
  for _ in range(rounds):
    for _ in itertools.islice(stream, BUFFERED):
      pass
    began = time.perf_counter()
    count = sum(_held(batch) for batch in itertools.islice(stream, batches))
    delivered.append(count / (time.perf_counter() - began))
    began = time.perf_counter()
    for batch in held:
      state, metrics = step(state, batch)
    jax.block_until_ready((state, metrics))
    count = sum(map(_held, held))
    consumed.append(count / (time.perf_counter() - began))
  ratios = [a / b for a, b in zip(delivered, consumed, strict=True)]
  print("| tokens a second | median | least | most |\n|--|--|--|--|")
  found: dict[str, Any] = {"packing_seconds": packing, "rounds": rounds}
  for name, values in (
    ("pipeline", delivered), ("training step", consumed), ("ratio", ratios),
  ):  # fmt: skip
    least, most = min(values), max(values)
    middle = statistics.median(values)
    print(f"| {name} | {middle:,.1f} | {least:,.1f} | {most:,.1f} |")
    found[name.replace(" ", "_")] = {"median": middle, "values": values}
  return found


def _held(batch: schema.Batch) -> int:
  return int((batch.tokens.segment > 0).sum())


if __name__ == "__main__":
  main()
