"""How many requests a server answers, and how long each of them takes.

  python benchmarks/serving.py --workdir=runs/demo --output=results/serving.json

It starts a server in a process of its own and sends requests from this one.
First it finds the highest rate that the server sustains: the answered rate is
at least 97 % of the sent rate, and p99 is at most --p99 (ms). Then it measures
latency at 50 % and 80 % of that rate. --minutes=10 also holds 80 % for ten
minutes, alone and then with upserts, event appends and two bundle swaps, and
reports errors and the growth of memory. --rate=400 holds this rate and
measures nothing else.

Requests arrive at random times (Poisson). Latency is from the planned arrival
to the end of the answer, so that a slow server cannot slow down the load.
"""

import argparse
import asyncio
import json
import pathlib
import sys
import time
from typing import Any, NamedTuple

import numpy as np
import record
import served

SECONDS = 15.0  # Of each measurement.
WARM = 150.0  # Seconds of calls with changes before the soak.
PARTS = ("alone", "with changes")  # Of the soak.
SETTLE = 3.0  # Seconds between the last call and the look at the memory.
RATES = (100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1200, 1400)


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--config", default="configs/demo.py")
  parser.add_argument("--p99", type=float, default=200, help="most ms")
  parser.add_argument("--seconds", type=float, default=SECONDS)
  parser.add_argument("--minutes", type=float, default=0, help="of the soak")
  parser.add_argument("--rate", type=float, default=0)
  parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  found = served.measured(
    options.config, options.workdir, lambda server: measure(server, options)
  )
  record.write(options.output, sys.argv[1:], **found)


async def measure(
  server: served.Server, options: argparse.Namespace
) -> dict[str, Any]:
  """Returns all figures."""
  client = await served.ready(server)
  ready = time.monotonic() - server.began
  print(f"ready after {ready:.1f} s")
  info = json.loads((await client.call("GET", "/v1/info"))[1])
  requests = await histories(client, info)
  await load(client, requests, 200, 10)  # Open connections, first calls.
  found: dict[str, Any] = {"seconds_to_ready": ready}
  if not options.rate:
    found |= await rates(client, requests, options)
  if options.minutes:
    rate = options.rate or 0.8 * found["sustained_per_s"]
    found["soak"] = await soak(server, client, requests, info, options, rate)
  return found


async def rates(
  client: served.Client, requests: list[bytes], options: argparse.Namespace
) -> dict[str, Any]:
  """Finds the sustained rate, and measures at parts of it."""
  sustained, rows = 0.0, []
  for rate in RATES:
    row = await load(client, requests, rate, options.seconds)
    rows.append(row)
    show(row)
    if row["answered_per_s"] < 0.97 * rate or row["p99_ms"] > options.p99:
      break
    sustained = rate
  found: dict[str, Any] = {"sustained_per_s": sustained, "rates": rows}
  for fraction in (0.5, 0.8):
    row = await load(client, requests, fraction * sustained, options.seconds)
    found[f"at_{fraction:.0%}"] = row
    show(row)
  return found


def show(row: dict[str, Any]) -> None:
  """Prints a line of figures."""
  print(
    f"{row['sent_per_s']:.0f} requests/s: answered {row['answered_per_s']:.0f}"
    f"/s, p50 {row['p50_ms']:.1f} ms, p90 {row['p90_ms']:.1f} ms, p99 "
    f"{row['p99_ms']:.1f} ms, {row['errors']} errors",
    flush=True,
  )


async def histories(client: served.Client, info: dict[str, Any]) -> list[bytes]:
  """Returns requests with histories of several lengths."""
  random = np.random.default_rng(0)
  page = json.loads((await client.call("GET", "/v1/items?limit=1000"))[1])
  items = [one["item"] for one in page["items"]]
  made = []
  for user in range(256):
    length = int(random.integers(1, 60))
    events = [
      {"item": items[n], "actions": [info["outcomes"][0]]}
      for n in random.integers(len(items), size=length)
    ]
    made.append(json.dumps({"user": f"user{user}", "events": events}).encode())
  return made


class Sent(NamedTuple):
  """Requests that were sent at random times.

  Attributes:
    arrived: planned second of each request, from the start.
    latency: seconds from then to the end of the answer.
    errors: number of requests that failed.
    took: seconds until all were answered.
  """

  arrived: np.ndarray
  latency: np.ndarray
  errors: int
  took: float


async def load(
  client: served.Client, requests: list[bytes], rate: float, seconds: float
) -> dict[str, Any]:
  """Sends requests at random times and returns the figures."""
  sent = await send(client, requests, rate, seconds)
  p50, p90, p99 = np.percentile(1e3 * sent.latency, (50, 90, 99)).tolist()
  return {
    "sent_per_s": rate, "answered_per_s": len(sent.arrived) / sent.took,
    "requests": len(sent.arrived), "p50_ms": p50, "p90_ms": p90, "p99_ms": p99,
    "errors": sent.errors,
  }  # fmt: skip


async def send(
  client: served.Client,
  requests: list[bytes],
  rate: float,
  seconds: float,
  until: asyncio.Future[Any] | None = None,
) -> Sent:
  """Sends requests at random times and waits for all answers.

  Args:
    client: of the server.
    requests: bodies, used in turn.
    rate: mean number a second.
    seconds: how long to send.
    until: no more are sent once it is done.
  """
  random = np.random.default_rng(1)
  number = max(int(rate * seconds), 1)
  arrivals = np.cumsum(random.exponential(1 / rate, number))
  latency, errors, began = np.zeros(number), [0], time.perf_counter()

  async def one(place: int) -> None:
    status, _ = await client.call(
      "POST", "/v1/retrieve", requests[place % len(requests)]
    )
    latency[place] = time.perf_counter() - began - arrivals[place]
    errors[0] += status != 200

  waiting: set[asyncio.Task[None]] = set()
  for place, arrival in enumerate(arrivals):
    wait = began + arrival - time.perf_counter()
    if wait > 0:
      await asyncio.sleep(wait)
    if until is not None and until.done():
      arrivals, latency = arrivals[:place], latency[:place]
      break
    task = asyncio.create_task(one(place))
    waiting.add(task)
    task.add_done_callback(waiting.discard)
  await asyncio.gather(*waiting)
  return Sent(arrivals, latency, errors[0], time.perf_counter() - began)


async def soak(
  server: served.Server,
  client: served.Client,
  requests: list[bytes],
  info: dict[str, Any],
  options: argparse.Namespace,
  rate: float,
) -> dict[str, Any]:
  """Holds a rate, alone and then with changes.

  Memory is compared with that after `WARM` seconds of the same calls, in which
  the server makes room for changed items and for a second bundle. It uses the
  rows of replaced items again after a minute.
  """
  seconds = 60 * options.minutes
  await load(client, requests, rate, WARM / 5)
  await with_changes(client, requests, info, rate, WARM)
  rows = {}
  for name in options.parts:
    before, failed = server.memory(), 0
    if name == "alone":
      row = await load(client, requests, rate, seconds)
    else:
      row, failed = await with_changes(client, requests, info, rate, seconds)
    await asyncio.sleep(SETTLE)
    grown = server.memory() / before - 1
    rows[name] = row | {"memory_growth": grown, "failed_changes": failed}
    show(row)
    print(f"  memory grew by {grown:.1%}; {failed} changes failed")
  return rows


async def with_changes(
  client: served.Client,
  requests: list[bytes],
  info: dict[str, Any],
  rate: float,
  seconds: float,
) -> tuple[dict[str, Any], int]:
  """Holds a rate during upserts, appends and two swaps.

  Returns:
    The figures of the requests, and how many changes failed.
  """
  stop = asyncio.Event()
  calls = (
    (1 / 50, upsert(client)),
    (1 / 200, append(client, info)),
    (0.34 * seconds, swap(client, info)),  # Twice.
  )
  changes = [asyncio.create_task(every(*call, stop)) for call in calls]
  row = await load(client, requests, rate, seconds)
  stop.set()
  return row, sum(await asyncio.gather(*changes))


async def every(seconds: float, calls: Any, stop: asyncio.Event) -> int:
  """Makes calls at a fixed rate and returns how many failed."""
  failed, start, number = 0, time.perf_counter(), 0
  async for status in calls:
    failed += status >= 400
    number += 1
    wait = start + number * seconds - time.perf_counter()
    if stop.is_set():
      break
    if wait > 0:
      try:
        async with asyncio.timeout(wait):
          await stop.wait()
        break
      except TimeoutError:
        pass
  return failed


async def upsert(client: served.Client):
  """Yields the status of item upserts."""
  number = 0
  while True:
    number += 1
    item = f"benchmark-{number % 2000}"
    yield (await client.call("PUT", f"/v1/items/{item}", b"{}"))[0]


async def append(client: served.Client, info: dict[str, Any]):
  """Yields the status of event appends."""
  number = 0
  while True:
    number += 1
    event = {"item": f"benchmark-{number % 2000}",
             "actions": [info["outcomes"][0]], "time": time.time()}  # fmt: skip
    body = json.dumps({"events": [event]}).encode()
    path = f"/v1/users/user{number % 500}/events"
    yield (await client.call("POST", path, body))[0]


async def swap(client: served.Client, info: dict[str, Any]):
  """Yields the status of bundle swaps, to the same bundle."""
  yield 200  # Not at the very start.
  while True:
    body = json.dumps({"version": info["bundle"]}).encode()
    yield (await client.call("POST", "/v1/bundle", body))[0]


if __name__ == "__main__":
  main()
