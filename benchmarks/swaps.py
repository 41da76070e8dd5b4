"""How long requests take while a server changes its bundle.

  python benchmarks/swaps.py --workdir=runs/demo --rate=300 --swaps=10 \
    --output=results/swaps.json

It starts a server and holds a rate of requests. Swaps to the same bundle follow
each other, with a quiet time of --quiet seconds before each. A request belongs
to a swap if it arrives between the call of the swap and its answer. The ratio
is p99 of the requests during the swaps over p99 in the quiet times. Its
interval is 95 % by bootstrap over the swaps, each with its own quiet time, so
that slow minutes of the machine count on both sides.
"""

import argparse
import asyncio
import json
import pathlib
import sys
from typing import Any

import numpy as np
import record
import served
import serving

WARM = 30.0  # Seconds of requests before the first quiet time.
LONGEST = 300.0  # Seconds of a swap.
RESAMPLES = 2000
Part = tuple[np.ndarray, np.ndarray]  # Latencies (ms) before and during a swap.


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--config", default="configs/demo.py")
  parser.add_argument("--rate", type=float, default=300)
  parser.add_argument("--swaps", type=int, default=10)
  parser.add_argument("--quiet", type=float, default=10, help="seconds")
  parser.add_argument("--changes", action="store_true", help="upserts, appends")
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  found = served.measured(
    options.config, options.workdir, lambda server: measure(server, options)
  )
  print(json.dumps(found, indent=2))
  record.write(options.output, sys.argv[1:], **found)


async def measure(
  server: served.Server, options: argparse.Namespace
) -> dict[str, Any]:
  """Returns all figures."""
  client = await served.ready(server)
  info = json.loads((await client.call("GET", "/v1/info"))[1])
  requests = await serving.histories(client, info)
  stop, changes = asyncio.Event(), []
  if options.changes:
    changes = [
      asyncio.create_task(serving.every(1 / rate, calls, stop))
      for rate, calls in (
        (50, serving.upsert(client)), (200, serving.append(client, info)),
      )
    ]  # fmt: skip
  await serving.load(client, requests, options.rate, WARM)
  parts: list[Part] = []
  failed = 0
  for _ in range(options.swaps):
    quiet = await serving.send(client, requests, options.rate, options.quiet)
    during, status = await during_swap(client, requests, info, options.rate)
    failed += quiet.errors + during.errors + (status >= 400)
    parts.append((1e3 * quiet.latency, 1e3 * during.latency))
    show(parts[-1])
  stop.set()
  failed += sum(await asyncio.gather(*changes))
  return figures(parts) | {"failed": failed}


async def during_swap(
  client: served.Client,
  requests: list[bytes],
  info: dict[str, Any],
  rate: float,
) -> tuple[serving.Sent, int]:
  """Returns the requests that arrived during a swap, and the swap's status."""
  body = json.dumps({"version": info["bundle"]}).encode()
  call = asyncio.create_task(client.call("POST", "/v1/bundle", body))
  sent = await serving.send(client, requests, rate, LONGEST, call)
  return sent, (await call)[0]


def show(part: Part) -> None:
  """Prints p99 around a swap."""
  quiet, during = (np.percentile(side, 99) for side in part)
  print(f"p99 {quiet:.0f} ms, and {during:.0f} ms during the swap", flush=True)


def figures(parts: list[Part]) -> dict[str, Any]:
  """Returns percentiles of both sides, and the ratio of their p99."""
  random = np.random.default_rng(0)
  drawn = random.integers(len(parts), size=(RESAMPLES, len(parts)))
  ratios = [ratio([parts[n] for n in own]) for own in drawn]
  sides = {
    name: np.percentile(np.concatenate(side), (50, 90, 99)).tolist()
    for name, side in zip(
      ("quiet", "swap"), zip(*parts, strict=True), strict=True
    )
  }
  return {
    "p50_p90_p99_ms": sides,
    "requests": [[len(side) for side in part] for part in parts],
    "p99_ratio": ratio(parts),
    "interval": np.percentile(ratios, (2.5, 97.5)).tolist(),
  }


def ratio(parts: list[Part]) -> float:
  """Returns p99 during swaps over p99 in the quiet times."""
  quiet, during = (np.concatenate(side) for side in zip(*parts, strict=True))
  return float(np.percentile(during, 99) / np.percentile(quiet, 99))


if __name__ == "__main__":
  main()
