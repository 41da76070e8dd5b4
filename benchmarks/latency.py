"""How long requests wait for their answer under a fixed load.

  python benchmarks/latency.py --workdir=runs/demo --output=results/latency.json

Requests arrive at random, so many a second. One server takes all that wait, up
to --most, and answers them in one batch. Latency is from a request's arrival to
the end of its batch. Histories are made up of the run's items, of several
lengths; every size of batch is compiled before.
"""

import argparse
import math
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import record

import pinrec_jax
from pinrec_jax import markdown

LENGTHS = 8  # histories have, spread evenly
HISTORIES = 256

Request = dict[str, Any]


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--rate", default="20,40,80", help="requests a second")
  parser.add_argument("--seconds", type=float, default=20, help="of a rate")
  parser.add_argument("--most", type=int, default=32, help="in a batch")
  parser.add_argument("--steps", type=int, help="of decoding; the run's")
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  retriever = loaded(options.workdir, options.steps)
  requests = histories(retriever)
  retriever.warm_up(options.most)
  random, found = np.random.default_rng(0), {}
  for rate in map(float, options.rate.split(",")):
    arrivals = np.cumsum(
      random.exponential(1 / rate, math.ceil(rate * options.seconds))
    )
    asked = [
      requests[n] for n in random.integers(len(requests), size=arrivals.size)
    ]
    found[f"{rate:g}"] = serve(retriever, asked, arrivals, options.most)
  config = retriever.serving.config
  table(found)
  record.write(
    options.output,
    sys.argv[1:],
    items=len(retriever.serving.catalog),
    steps=config.decode.steps,
    candidates=config.decode.candidates,
    rates=found,
  )


def loaded(workdir: pathlib.Path, steps: int | None) -> pinrec_jax.Retriever:
  """Returns a run's retriever, with its own number of steps or another."""
  retriever = pinrec_jax.Retriever.load(workdir)
  if steps is None:
    return retriever
  config = retriever.serving.config
  config.decode.steps = steps
  return pinrec_jax.Retriever.load(workdir, config)


def histories(retriever: pinrec_jax.Retriever) -> list[Request]:
  """Returns requests of distinct items, each acted on."""
  random = np.random.default_rng(0)
  serving, known = retriever.serving, retriever.known
  lengths = np.linspace(1, serving.longest - 1, LENGTHS).astype(int)
  action = known.vocabulary.actions[0]
  made = []
  for user in range(HISTORIES):
    length = lengths[user % LENGTHS]
    rows = random.choice(serving.catalog, length, replace=False)
    events = [
      {"item": item, "actions": [action]}
      for item in known.items.ids[rows].tolist()
    ]
    made.append({"user": f"user{user}", "events": events})
  return made


def answer(
  retriever: pinrec_jax.Retriever, batch: Sequence[Request]
) -> list[Request]:
  """Returns the answers to a batch."""
  return list(retriever.retrieve(batch))


def serve(
  retriever: pinrec_jax.Retriever,
  requests: Sequence[Request],
  arrivals: np.ndarray,
  most: int,
) -> dict[str, Any]:
  """Returns the latency of requests that arrive at given seconds."""
  latency, batches = np.zeros(arrivals.size), []
  served, began = 0, time.perf_counter()
  while served < arrivals.size:
    now = time.perf_counter() - began
    waiting = int(np.searchsorted(arrivals, now, side="right"))
    if waiting == served:
      time.sleep(arrivals[served] - now)
      continue
    batch = slice(served, min(waiting, served + most))
    answer(retriever, requests[batch])
    latency[batch] = time.perf_counter() - began - arrivals[batch]
    batches.append(batch.stop - served)
    served = batch.stop
  seconds = time.perf_counter() - began
  p50, p90, p99 = np.percentile(1e3 * latency, (50, 90, 99)).tolist()
  return {
    "p50_ms": p50, "p90_ms": p90, "p99_ms": p99,
    "served_per_s": served / seconds,
    "mean_batch": served / len(batches), "requests": served,
  }  # fmt: skip


def table(found: dict[str, dict[str, Any]]) -> None:
  """Prints a row for each rate."""
  shown = {
    "p50_ms": "p50, ms",
    "p90_ms": "p90, ms",
    "p99_ms": "p99, ms",
    "served_per_s": "served a second",
    "mean_batch": "mean batch",
  }
  rows = [
    [rate, *(f"{row[key]:.1f}" for key in shown)] for rate, row in found.items()
  ]
  print(markdown.table(["arriving a second", *shown.values()], rows))


if __name__ == "__main__":
  main()
