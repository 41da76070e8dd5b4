"""Measures how a large custom log is prepared, and how its training starts.

  python benchmarks/prepare.py --events 2 20 100 --workdir=/tmp/prepare \
    --output=results/prepare.json

Sizes are millions of events. For each size, it writes a log of the synthetic
world as Parquet files. Each file has all users and is in the order of time. The
log is then prepared in a process of its own, twice. The second run finds the
prepared form.

`import_seconds` is the time to import the command line alone. `cpu_seconds` are
those of all cores, which a busy machine changes little. `peak_rss_mib` is
all resident memory. `peak_own_mib` leaves out pages of files mapped from disk,
which the system takes back when it needs them. `peak_disk` is everything that
was written, as a multiple of the input. All other options are those of
pinrec_jax.main.

Then a small model is trained for some steps, twice, in new work folders. The
first training packs the histories into a file. `first_step_seconds` are from
the start of the process to the first line of metrics.jsonl, after four steps.
"""

import argparse
import contextlib
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time

import pandas as pd
import record
import tqdm

from pinrec_jax.data import synthetic

CONFIG = "configs/custom_log.py"
FILES = 8  # Parts into which the time of a log is divided.
PER_USER = 200  # Events of a user.
TRAINING = {
  "model.hidden_dim": 64, "model.embedding_dim": 64, "model.table_size": 65_536,
  "train.steps": 40, "train.eval_every": 40, "train.warmup_steps": 10,
  "train.batch_size": 32,
}  # fmt: skip


def write(folder: pathlib.Path, millions: int) -> None:
  """Writes a log."""
  folder.mkdir(parents=True)
  users = range(millions * 1_000_000 // PER_USER)
  parts = synthetic.logs(users, synthetic.Size(items=100_000, events=PER_USER))
  every = -(-PER_USER // FILES)
  for number, log in enumerate(tqdm.tqdm(parts, desc="write")):
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


def size(folder: pathlib.Path) -> int:
  """Returns the bytes of all files in a folder."""
  total = 0
  for inner, _, names in os.walk(folder):  # It skips files deleted meanwhile.
    for name in names:
      with contextlib.suppress(FileNotFoundError):
        total += (pathlib.Path(inner) / name).stat().st_size
  return total


def watched(
  command: list[str], folder: pathlib.Path, awaited: pathlib.Path | None = None
) -> dict[str, float]:
  """Runs a command and returns its figures.

  Args:
    command: to run.
    folder: whose size is watched.
    awaited: a file that the command writes.
  """
  peaks, disk, first = {"VmRSS": 0.0, "RssAnon": 0.0}, 0, 0.0
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  start = time.perf_counter()
  with subprocess.Popen(command) as process:
    status = pathlib.Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
      for line in status.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name in peaks:
          peaks[name] = max(peaks[name], int(value.split()[0]) / 1024)
      disk = max(disk, size(folder))
      if awaited is not None and not first and awaited.is_file():
        first = time.perf_counter() - start
      time.sleep(0.2)
  seconds = time.perf_counter() - start
  if process.returncode:
    raise subprocess.CalledProcessError(process.returncode, command)
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  return {
    "seconds": seconds,
    "first_step_seconds": first,
    "cpu_seconds": after.ru_utime
    + after.ru_stime
    - before.ru_utime
    - before.ru_stime,
    "peak_rss_mib": peaks["VmRSS"],
    "peak_own_mib": peaks["RssAnon"],
    "disk": disk,
  }


def started(
  command: list[str], folder: pathlib.Path, millions: int
) -> dict[str, float]:
  """Trains twice and returns the figures of both starts.

  If the histories are packed already, it trains once.
  """
  found: dict[str, float] = {}
  settings = [f"--config.{name}={value}" for name, value in TRAINING.items()]
  packed = any((folder / "prepared").glob("*/*/packed/*"))
  for name in ("packed",) if packed else ("packing", "packed"):
    run = folder / f"train-{name}"
    shutil.rmtree(run, ignore_errors=True)
    own = watched(
      [*command, "--mode=train", f"--workdir={run}", *settings],
      folder / "prepared",
      run / "metrics.jsonl",
    )
    own.pop("disk")
    found |= {f"{name}/{key}": value for key, value in own.items()}
  places = (folder / "prepared").glob("*/*/packed")
  found["packed_mib"] = sum(size(place) for place in places) / 2**20
  found["prepared_mib"] = size(folder / "prepared") / 2**20
  print(json.dumps({f"{millions}m": found}))
  return found


def main() -> None:
  """Prepares a log of each size and prints the figures."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--events", type=int, nargs="+", default=[2, 20])
  parser.add_argument("--workdir", type=pathlib.Path, required=True)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  parser.add_argument(
    "--measure", nargs="+", default=["prepare", "train"],
    choices=["prepare", "train"],
  )  # fmt: skip
  options, rest = parser.parse_known_args()
  found, training = {}, {}
  for millions in options.events:
    folder = options.workdir / f"{millions}m"
    if not (folder / "log").is_dir():
      write(folder / "log", millions)
    prepared = folder / "prepared"
    command = [sys.executable, "-m", "pinrec_jax.main", f"--config={CONFIG}"]
    command += [f"--config.data.events={folder / 'log'}"]
    command += ["--config.data.custom.actions=click,save"]
    command += [f"--config.data.prepared_dir={prepared}", *rest]
    if "prepare" in options.measure:
      shutil.rmtree(prepared, ignore_errors=True)
      prepared.mkdir()
      found[f"{millions}m"] = prepare(command, folder)
    if "train" in options.measure:
      training[f"{millions}m"] = started(command, folder, millions)
  figures = {"prepare": found, "training": training}
  record.write(
    options.output, rest, **{name: own for name, own in figures.items() if own}
  )


def prepare(command: list[str], folder: pathlib.Path) -> dict[str, float]:
  """Prepares a log twice and returns the figures."""
  prepared = folder / "prepared"
  command = [*command, "--mode=prepare", f"--workdir={folder / 'run'}"]
  alone = watched([sys.executable, "-c", "import pinrec_jax.cli"], prepared)
  first, second = (watched(command, prepared) for _ in range(2))
  path = folder / "run" / "report.json"
  report = json.loads(path.read_text(encoding="utf-8"))["prepare"]
  events, given = report["data/events"], size(folder / "log")
  found = {
    "events": events,
    "seconds": first["seconds"],
    "us_per_event": 1e6 * first["seconds"] / events,
    "again_seconds": second["seconds"],
    "again_cpu_seconds": second["cpu_seconds"],
    "import_seconds": alone["seconds"],
    "import_cpu_seconds": alone["cpu_seconds"],
    "cpu_seconds": first["cpu_seconds"],
    "peak_rss_mib": first["peak_rss_mib"],
    "peak_own_mib": first["peak_own_mib"],
    "input_mib": given / 2**20,
    "prepared_disk": size(prepared) / given,
    "peak_disk": first["disk"] / given,
  }
  print(json.dumps(found))
  return found


if __name__ == "__main__":
  main()
