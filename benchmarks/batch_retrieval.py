"""Lists for all users by a pipeline, compared with the local command.

  python benchmarks/batch_retrieval.py --workdir=runs/demo \
    --output=results/batch_retrieval.json

Each user is one of the bundle's users under another id, with the latest events
in the request. Both commands run as a user starts them, interleaved, on one
core. The pipeline also runs in one process per core. "users/s a core" counts
the seconds of processors, user and system, of a command and its processes. So
other programs on the machine hardly matter. The seconds of a command with 256
users are subtracted, which hardly does more than start.
Memory is the peak resident memory of a pipeline in one process, which uses all
cores.
"""

import argparse
import itertools
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import record
import timing

from pinrec_jax import markdown
from pinrec_jax.data import schema
from pinrec_jax.inference import bundle as bundle_lib

LOCAL, PIPELINE = "local", "pipeline"
EVENTS = 64  # Of a request.
START = 256  # Users of a command that hardly does more than start.
PROCESSES = "--direct_running_mode=multi_processing --direct_num_workers="


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--users", type=int, default=16_384)
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--sizes", default="10000,100000,1000000")
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  figures: dict[str, Any] = {}
  if options.output.is_file():  # The other part was measured before.
    known = json.loads(options.output.read_text("utf-8"))
    figures = {k: known[k] for k in ("speed", "memory") if k in known}
  with tempfile.TemporaryDirectory() as name:
    work = Work(options.workdir, pathlib.Path(name))
    if options.rounds:
      figures["speed"] = speed(work, options.users, options.rounds)
      print(speed_table(figures["speed"]))
      record.write(options.output, sys.argv[1:], **figures)
    rows = figures.get("memory", {}) if options.sizes else {}
    for size in map(int, filter(None, options.sizes.split(","))):
      rows[str(size)] = figures_of(size, work.pipeline(size, ""))
      figures["memory"] = rows
      print(memory_table(rows), flush=True)
      record.write(options.output, sys.argv[1:], **figures)


class Used(NamedTuple):
  """What a command used.

  Attributes:
    seconds: from its start to its end.
    cpu: seconds of processors, user and system.
    memory: peak resident memory, in bytes.
  """

  seconds: float
  cpu: float
  memory: int


class Work:
  """Files of histories, and the commands that answer them."""

  def __init__(self, workdir: pathlib.Path, folder: pathlib.Path) -> None:
    self._workdir, self._folder = workdir, folder
    self._events = [*histories(bundle_lib.load(workdir))]

  def histories(self, users: int) -> pathlib.Path:
    """Returns a file with a request of each user."""
    path = self._folder / f"{users}.jsonl"
    if not path.is_file():
      with path.open("wb") as file:
        events = itertools.cycle(self._events)
        for user, own in zip(range(users), events, strict=False):
          file.write(b'{"user": %d, "events": %s}\n' % (user, own))
    return path

  def local(self, users: int, cores: str = "") -> Used:
    """Runs the local command; returns what it used."""
    return self._run([f"--histories={self.histories(users)}"], cores)

  def pipeline(self, users: int, beam: str, cores: str = "") -> Used:
    """Runs the pipeline; returns what it used."""
    lists = self._folder / "lists"
    shutil.rmtree(lists, ignore_errors=True)
    flags = [f"--histories={self.histories(users)}", f"--output={lists}"]
    return self._run([*flags, f"--beam_options={beam}"], cores)

  def _run(self, flags: list[str], cores: str) -> Used:
    pinned = ["taskset", "--cpu-list", cores] if cores else []
    command = [
      *pinned, sys.executable, "-m", "pinrec_jax.main", "--mode=retrieve",
      f"--workdir={self._workdir}", "--strict", *flags,
    ]  # fmt: skip
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
      _, status, used = os.wait4(process.pid, 0)
      process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
      sys.exit(f"error: {command} ended with status {process.returncode}")
    seconds = time.perf_counter() - began
    return Used(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def histories(bundle: bundle_lib.Bundle) -> Iterator[bytes]:
  """Yields the events of each user of a bundle, as JSON."""
  names = bundle.vocabulary
  for user in bundle.users.names(0, len(bundle.users)):
    events = bundle.users.get(user)
    assert events is not None
    events = events.where(slice(-EVENTS, None))
    items = bundle.catalog.items.ids[events.item].tolist()
    found = []
    for n, item in enumerate(items):
      chosen = np.flatnonzero(events.actions[n])
      event = {"item": item, "actions": [names.actions[a] for a in chosen]}
      if events.time[n] != schema.UNKNOWN_TIME:
        event["time"] = int(events.time[n])
      found.append(event | {"shown_only": not events.engaged[n]})
    yield json.dumps(found).encode()


def speed(work: Work, users: int, rounds: int) -> dict[str, Any]:
  """Returns the users per second and core of every command."""
  cores = os.cpu_count() or 1
  together = f"{PIPELINE}, {cores} processes"
  cases = {
    LOCAL: lambda size: work.local(size, "0"),
    PIPELINE: lambda size: work.pipeline(size, "", "0"),
    together: lambda size: work.pipeline(size, f"{PROCESSES}{cores}"),
  }
  work.local(START)  # Compiles all programs.
  every: dict[str, list[Used]] = {name: [] for name in cases}
  starts: dict[str, list[Used]] = {name: [] for name in cases}
  for _ in range(rounds):
    for name, case in cases.items():
      starts[name].append(case(START))
      every[name].append(case(users))
  whole = timing.compared(_cpu(every), LOCAL)
  first = _cpu(starts)
  after = {
    name: [a - b for a, b in zip(own, first[name], strict=True)]
    for name, own in _cpu(every).items()
  }
  rows = {
    name: {
      "seconds": statistics.median(one.seconds for one in every[name]),
      "start_cpu_seconds": statistics.median(first[name]),
      "users_per_s_a_core": (users - START) / row["seconds"],
      "of_local": 1 / row["ratio"],
      "of_local_min": 1 / row["max"],
      "of_local_max": 1 / row["min"],
      "of_local_with_start": 1 / whole[name]["ratio"],
    }
    for name, row in timing.compared(after, LOCAL).items()
  }
  return {"users": users, "rounds": rounds, "commands": rows}


def _cpu(used: dict[str, list[Used]]) -> dict[str, list[float]]:
  return {name: [one.cpu for one in own] for name, own in used.items()}


def figures_of(users: int, used: Used) -> dict[str, float]:
  """Returns the figures of one pipeline."""
  return {
    "seconds": used.seconds,
    "users_per_s": users / used.seconds,
    "peak_rss_mb": used.memory / 2**20,
  }


def speed_table(found: dict[str, Any]) -> str:
  """Returns the speeds as a Markdown table."""
  head = [
    "command", "start, CPU s", "users/s a core", "of the local command",
    "with the start",
  ]  # fmt: skip
  rows = [
    [
      name,
      f"{row['start_cpu_seconds']:.1f}",
      f"{row['users_per_s_a_core']:,.0f}",
      f"{row['of_local']:.2f} ({row['of_local_min']:.2f} to "
      f"{row['of_local_max']:.2f})",
      f"{row['of_local_with_start']:.2f}",
    ]
    for name, row in found["commands"].items()
  ]
  return markdown.table(head, rows)


def memory_table(found: dict[str, Any]) -> str:
  """Returns the memory at each size as a Markdown table."""
  rows = [
    [
      f"{int(size):,}",
      f"{row['seconds']:,.0f}",
      f"{row['users_per_s']:,.0f}",
      f"{row['peak_rss_mb']:,.0f}",
    ]
    for size, row in found.items()
  ]
  return markdown.table(["users", "seconds", "users/s", "peak RSS, MB"], rows)


if __name__ == "__main__":
  main()
