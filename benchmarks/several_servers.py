"""Two servers behind a proxy: kills, restarts, new bundles and shared items.

  python benchmarks/several_servers.py --workdir=runs/demo \
    --output=results/several_servers.json

It starts Redis, two servers on one work folder, and HAProxy (or --proxy=nginx).
The work folder needs two bundles. During a steady load of requests, events and
item changes through the proxy,

* changes: items are added on one server and looked for on the other.
* kills: one server after another gets SIGKILL, and is started again.
* restarts: the same with SIGTERM.
* bundles: the pointer to the current bundle moves, and both servers follow.

The client repeats a call that fails. At the end, every event and item that was
acknowledged is looked for on both servers.
"""

import argparse
import asyncio
import contextlib
import json
import pathlib
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import fleet
import record
import served
import steady_load

from pinrec_jax.inference import bundle_folders

PAUSE = 2.0  # Seconds of load between two kills.


async def _until(holds: Callable[[], Awaitable[bool]]) -> float:
  """Waits until something holds, and returns the seconds."""
  began = time.perf_counter()
  while not await holds():
    await asyncio.sleep(0.005)
  return time.perf_counter() - began


async def changes(own: fleet.Fleet, number: int) -> dict[str, Any]:
  """Adds items on one server, and looks for each on the other one."""
  seconds, answered = [], []
  for n in range(number):
    place, item = n % 2, f"lag-{n}"
    server = own.servers[place]
    began = time.perf_counter()
    with contextlib.closing(served.Client(server.host, server.port)) as client:
      await client.call("PUT", f"/v1/items/{item}", b"{}")
    answered.append(time.perf_counter() - began)

    async def _found(item: str = item, other: int = 1 - place) -> bool:
      status, page = await own.get(other, f"/v1/items?query={item}&limit=1000")
      return status == 200 and item in [one["item"] for one in page["items"]]

    seconds.append(await _until(_found))
  return {
    "number": number,
    "answered": steady_load.milliseconds(answered),
    "found_on_the_other": steady_load.milliseconds(seconds),
  }


async def bundles(own: fleet.Fleet, turns: int) -> dict[str, Any]:
  """Moves the pointer, and waits until both servers follow."""
  folder = own.workdir / "bundles"
  seconds = []
  for _ in range(turns):
    now = bundle_folders.current(folder)
    other = next(v for v in bundle_folders.versions(folder) if v != now)
    bundle_folders.set_current(folder, other)

    async def _followed(wanted: str = other) -> bool:
      await asyncio.sleep(0.2)
      both = [await own.get(n, "/v1/bundle") for n in range(2)]
      return all(answer["version"] == wanted for _, answer in both)

    seconds.append(await _until(_followed))
  return {"turns": turns, "seconds": seconds}


async def lost(own: fleet.Fleet, load: steady_load.Load) -> dict[str, int]:
  """Returns how much that was acknowledged is missing on a server."""
  events, items = 0, 0
  for place in range(2):
    stored = {}
    for user in {user for user, _ in load.events}:
      _, history = await own.get(place, f"/v1/users/{user}")
      stored[user] = {event["time"] for event in history["events"]}
    events += sum(when not in stored[user] for user, when in load.events)
    found, after = set(), 0
    while after is not None:
      path = f"/v1/items?query=load-&limit=1000&after={after}"
      _, page = await own.get(place, path)
      found |= {one["item"] for one in page["items"]}
      after = page["next"]
    items += len({*load.added} - found)
  return {
    "events": len(load.events), "events_lost": events,
    "items": len(load.added), "items_lost": items,
  }  # fmt: skip


async def measure(
  own: fleet.Fleet, options: argparse.Namespace
) -> dict[str, Any]:
  """Returns all figures."""
  for place in range(2):
    await own.ready(place)
  await asyncio.sleep(PAUSE)  # The proxy finds out, too.
  _, info = await own.get(0, "/v1/info")
  _, page = await own.get(0, "/v1/items?limit=200")
  items = [one["item"] for one in page["items"]]
  load = steady_load.Load(own.proxy.port, items, info["outcomes"][0])
  async with load.running(options.rate):  # Open connections, first calls.
    pass

  async def _each(signal_number: int) -> dict[str, Any]:
    for n in range(options.turns):
      await own.again(n % 2, signal_number)
      await asyncio.sleep(PAUSE)
    return {"turns": options.turns}

  found: dict[str, Any] = {"rate": options.rate, "proxy": options.proxy}
  for name, change in (
    ("changes", lambda: changes(own, options.items)),
    ("kills", lambda: _each(signal.SIGKILL)),
    ("restarts", lambda: _each(signal.SIGTERM)),
    ("bundles", lambda: bundles(own, options.turns)),
  ):
    before = own.repeated()
    async with load.running(options.rate) as calls:
      row = await change()
    found[name] = row | calls
    if options.proxy == "nginx":  # HAProxy does not count them.
      found[name]["repeated_by_proxy"] = own.repeated() - before
    print(name, json.dumps(found[name]), flush=True)
  await asyncio.sleep(1)
  return found | {"acknowledged": await lost(own, load)}


def run(options: argparse.Namespace) -> dict[str, Any]:
  """Starts all processes, measures, and ends them.

  Raises:
    ValueError: if the work folder has fewer than two bundles.
  """
  folder = options.workdir / "bundles"
  if len(bundle_folders.versions(folder)) < 2:
    raise ValueError(
      f"{folder} has fewer than two bundles; write another one with "
      "--mode=index --config.decode.candidates=50"
    )
  with tempfile.TemporaryDirectory() as temporary:
    own = fleet.Fleet(
      options.config, options.workdir, options.proxy, pathlib.Path(temporary)
    )
    try:
      return asyncio.run(measure(own, options))
    finally:
      own.stop()


def parse(arguments: list[str]) -> argparse.Namespace:
  """Returns the options."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--config", default="configs/demo.py")
  parser.add_argument(
    "--proxy", choices=("haproxy", "nginx"), default="haproxy"
  )
  parser.add_argument("--rate", type=float, default=50, help="requests/s")
  parser.add_argument("--items", type=int, default=300)
  parser.add_argument("--turns", type=int, default=6)
  parser.add_argument("--output", type=pathlib.Path)
  return parser.parse_args(arguments)


if __name__ == "__main__":
  own_options = parse(sys.argv[1:])
  record.write(own_options.output, sys.argv[1:], **run(own_options))
