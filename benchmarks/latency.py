"""The latency of `Retriever.retrieve` under a fixed load, in one process.

  python benchmarks/latency.py --workdir=runs/demo --output=results/latency.json

Requests arrive at random times (Poisson). One process answers all waiting
requests in one batch, up to --max_batch. Latency is from a request's arrival to
the end of its batch. Histories are random items of the run, of several lengths.
All batch sizes are compiled first.
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

LENGTHS = 8  # Lengths of histories, spread evenly.
HISTORIES = 256

Request = dict[str, Any]


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--rate", default="20,40,80", help="requests per second")
  parser.add_argument("--seconds", type=float, default=20, help="per rate")
  parser.add_argument("--max_batch", type=int, default=32)
  parser.add_argument("--steps", type=int, help="default: those of the bundle")
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  changes = {} if options.steps is None else {"decode.steps": options.steps}
  retriever = pinrec_jax.Retriever.load(options.workdir, **changes)
  requests = histories(retriever)
  retriever.warm_up(options.max_batch)
  random, found = np.random.default_rng(0), {}
  for rate in map(float, options.rate.split(",")):
    gaps = random.exponential(1 / rate, math.ceil(rate * options.seconds))
    arrivals = np.cumsum(gaps)
    places = random.integers(len(requests), size=arrivals.size)
    found[f"{rate:g}"] = serve(
      retriever, [requests[n] for n in places], arrivals, options.max_batch
    )
  print(table(found))
  decode = retriever.bundle.config.decode
  record.write(
    options.output,
    sys.argv[1:],
    items=len(retriever.bundle.candidates),
    steps=decode.steps,
    candidates=decode.candidates,
    rates=found,
  )


def histories(retriever: pinrec_jax.Retriever) -> list[Request]:
  """Returns requests whose histories are random, distinct items."""
  random, bundle = np.random.default_rng(0), retriever.bundle
  most = bundle.config.sequence_length - bundle.config.decode.steps
  most = min(most, len(bundle.candidates))
  lengths = np.linspace(1, most, LENGTHS).astype(int)
  action = bundle.vocabulary.actions[0]
  requests = []
  for user in range(HISTORIES):
    length = lengths[user % LENGTHS]
    rows = random.choice(bundle.candidates, length, replace=False)
    events = [
      {"item": item, "actions": [action]}
      for item in bundle.catalog.items.ids[rows].tolist()
    ]
    requests.append({"user": f"user{user}", "events": events})
  return requests


def serve(
  retriever: pinrec_jax.Retriever,
  requests: Sequence[Request],
  arrivals: np.ndarray,
  max_batch: int,
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
    batch = slice(served, min(waiting, served + max_batch))
    for answer in retriever.retrieve(requests[batch]):
      assert "error" not in answer, answer
    latency[batch] = time.perf_counter() - began - arrivals[batch]
    batches.append(batch.stop - served)
    served = batch.stop
  seconds = time.perf_counter() - began
  p50, p90, p99 = np.percentile(1e3 * latency, (50, 90, 99)).tolist()
  return {
    "p50_ms": p50,
    "p90_ms": p90,
    "p99_ms": p99,
    "served_per_s": served / seconds,
    "mean_batch": served / len(batches),
    "requests": served,
  }


def table(found: dict[str, dict[str, Any]]) -> str:
  """Returns one line per rate as a Markdown table."""
  shown = {
    "p50_ms": "p50, ms",
    "p90_ms": "p90, ms",
    "p99_ms": "p99, ms",
    "served_per_s": "served per s",
    "mean_batch": "mean batch",
  }
  rows = [
    [rate, *(f"{row[key]:.1f}" for key in shown)] for rate, row in found.items()
  ]
  return markdown.table(["arriving per s", *shown.values()], rows)


if __name__ == "__main__":
  main()
