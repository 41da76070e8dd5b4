"""Measures how fast a log is prepared, and in how much memory.

  python benchmarks/prepare.py --events 1 10 100 --workdir=/tmp/prepare \
    --output=results/prepare.json

For each size, in millions of events, it makes a log of a synthetic world as
Parquet files, each of all users and in the order of time, and prepares it in a
process of its own. Two peaks of memory are told: all that was resident, and
what the process held itself. The rest are pages of the prepared log, mapped
from disk, which the system takes back when it needs them. Everything after the
options goes to pinrec_jax.main.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import time

import pandas as pd
import record
import tqdm

from pinrec_jax import config as config_lib
from pinrec_jax.data import synthetic

CONFIG = "configs/custom_log.py"
FILES = 8  # into which a log's time is divided
PER_USER = 200  # events


def write(folder: pathlib.Path, millions: int) -> None:
  """Writes a log."""
  folder.mkdir(parents=True)
  world = config_lib.Synthetic(
    users=millions * 1_000_000 // PER_USER, items=100_000, events=PER_USER
  )
  every = -(-PER_USER // FILES)
  for number, log in enumerate(tqdm.tqdm(synthetic.logs(world), desc="write")):
    nth = log.groupby("user").cumcount() // every
    for part, own in log.groupby(nth):
      rows = pd.DataFrame(
        {
          "user": own["user"],
          "item": own["item"],
          "time": own["time"],
          "click": own["click"].astype(bool),
          "save": own["save"].astype(bool),
        }
      ).sort_values("time", kind="stable")
      rows.to_parquet(folder / f"{part}-{number:04d}.parquet", index=False)


def watched(command: list[str]) -> dict[str, float]:
  """Runs a command and returns its peaks of memory, as Linux tells them."""
  peaks = {"VmRSS": 0.0, "RssAnon": 0.0}
  with subprocess.Popen(command) as process:
    status = pathlib.Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
      for line in status.read_text().splitlines():
        name, _, value = line.partition(":")
        if name in peaks:
          peaks[name] = max(peaks[name], int(value.split()[0]) / 1024)
      time.sleep(0.1)
  if process.returncode:
    raise subprocess.CalledProcessError(process.returncode, command)
  return {"peak_rss_mib": peaks["VmRSS"], "peak_own_mib": peaks["RssAnon"]}


def main() -> None:
  """Prepares a log of each size and prints the figures."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--events", type=int, nargs="+", default=[1, 10])
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options, rest = parser.parse_known_args()
  found = {}
  for millions in options.events:
    folder = options.workdir / f"{millions}m"
    shutil.rmtree(folder, ignore_errors=True)
    write(folder / "log", millions)
    command = [sys.executable, "-m", "pinrec_jax.main", f"--config={CONFIG}"]
    command += ["--mode=prepare", f"--workdir={folder / 'run'}"]
    command += [f"--config.data.events={folder / 'log'}"]
    command += ["--config.data.custom.actions=click,save"]
    command += ["--config.data.custom.action="]
    command += [f"--config.data.prepared_dir={folder / 'prepared'}", *rest]
    start = time.perf_counter()
    peaks = watched(command)
    seconds = time.perf_counter() - start
    report = json.loads((folder / "run" / "report.json").read_text())
    found[f"{millions}m"] = {
      "events": report["data/events"],
      "seconds": seconds,
      "events_per_s": report["data/events"] / seconds,
      "us_per_event": 1e6 * seconds / report["data/events"],
      **peaks,
    }
    print(json.dumps(found[f"{millions}m"]))
    shutil.rmtree(folder)
  record.write(options.output, rest, prepare=found)


if __name__ == "__main__":
  main()
