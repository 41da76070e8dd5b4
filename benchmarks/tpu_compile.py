"""Training steps and generation, compiled for TPU slices without a TPU.

  pip install -e ".[tpu]"
  python benchmarks/tpu_compile.py --output=results/tpu_compile.json \
    --plot=docs/tpu_compile.png --summary=launch/tpu_compiled.txt

The compiler of the package libtpu runs on any Linux machine. Each case is
compiled in a process of its own, and written to the output at once. A case that
is already there is left out, so a stopped run goes on. --cases chooses cases.

The roofline time is that of the slowest of three: operations at the peak rate,
bytes of device memory, and bytes of collectives. benchmarks/tpu_chips.py has
the rates, which are assumptions, and benchmarks/hlo_costs.py the counts. The
model FLOP utilization (MFU) is stricter: it assumes that communication overlaps
with nothing.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import pathlib
import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any
from unittest import mock

import hlo_costs
import jax
import record
import tpu_chips
import tpu_programs
from matplotlib.figure import Figure

from pinrec_jax import markdown, sharding

CASES = {
  f"{name}/{tables}/{kind}": (name, tables, kind)
  for kind in ("step", "generation")
  for name in tpu_chips.SLICES
  for tables in tpu_programs.TABLES
}
# How much memory a program needs that does not fit, in the compiler's words.
NEEDED = re.compile(
  r"(?:Used |temporaries \()([\d.]+)([KMG])(?: of |\) exceeds available HBM)"
)
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def main() -> None:
  """Compiles, prints, writes and draws."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--cases", nargs="*", choices=CASES, default=[*CASES])
  parser.add_argument("--section", default="cases")
  parser.add_argument("--output", type=pathlib.Path, required=True)
  parser.add_argument("--plot", type=pathlib.Path)
  parser.add_argument("--summary", type=pathlib.Path)
  for field in dataclasses.fields(tpu_programs.Sizes):
    kind = type(field.default)
    parser.add_argument(f"--{field.name}", type=kind)
  options = parser.parse_args()
  jax.config.update("jax_platforms", "cpu")
  changes = {
    field.name: value
    for field in dataclasses.fields(tpu_programs.Sizes)
    if (value := getattr(options, field.name)) is not None
  }
  stored = {}
  if options.output.exists():
    stored = json.loads(options.output.read_text("utf-8"))
    stored = {
      k: v for k, v in stored.items() if k not in ("command", "machine")
    }
  found = stored.setdefault(options.section, {})
  for case in options.cases:
    if case not in found:
      chosen = tpu_chips.SLICES[CASES[case][0]]
      found[case] = alone(chosen, compiled, case, changes)
      record.write(options.output, sys.argv[1:], **stored)
  print(table(found))
  if options.plot:
    plot(found, options.plot)
  if options.summary:
    options.summary.write_text(summary(found), "utf-8")


def alone(chosen: tpu_chips.Slice, function: Any, *given: Any) -> Any:
  """Returns what a function returns in a process of its own.

  The compiler reads the kind of its slice from the environment, once.
  """
  environment = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": chosen.accelerator,
    "LIBTPU_INIT_ARGS": sharding.TPU_FLAGS,
  }
  spawn = multiprocessing.get_context("spawn")
  with (
    mock.patch.dict(os.environ, environment),
    concurrent.futures.ProcessPoolExecutor(1, spawn) as pool,
  ):
    return pool.submit(function, *given).result()


def compiled(case: str, changes: dict[str, Any]) -> dict[str, Any]:
  """Returns what the compiled program of a case needs."""
  name, tables, kind = CASES[case]
  chosen = tpu_chips.SLICES[name]
  sizes = tpu_programs.sizes(name, tables, **changes)
  with tpu_programs.compiling_for(chosen) as devices:
    lowered, needs = tpu_programs.lowered(kind, sizes, devices)
    began = time.perf_counter()
    try:
      program = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
      return {
        "sizes": dataclasses.asdict(sizes),
        "fits": False,
        "needed_bytes": needed(str(error)),
        "compile_s": time.perf_counter() - began,
      }
  seconds = time.perf_counter() - began
  text = program.as_text() or ""
  if folder := os.environ.get("PROGRAMS"):
    path = pathlib.Path(folder) / (case.replace("/", "_") + ".txt")
    path.write_text(text, "utf-8")
  costs = hlo_costs.Program(text).costs()
  return {
    "sizes": dataclasses.asdict(sizes),
    "fits": True,
    "compile_s": seconds,
    **memory(program, chosen),
    **roofline(costs, chosen, needs / chosen.chips),
  }


def needed(error: str) -> float | None:
  """Returns the bytes that a program needs which does not fit.

  Raises:
    RuntimeError: if the error has another reason.
  """
  found = NEEDED.search(error)
  if not found:
    raise RuntimeError(error)
  return float(found[1]) * UNITS[found[2]]


def memory(
  program: jax.stages.Compiled, chosen: tpu_chips.Slice
) -> dict[str, float]:
  """Returns the bytes that a chip needs, and the fraction that is spare."""
  found: Any = program.memory_analysis()
  held = found.argument_size_in_bytes + found.output_size_in_bytes
  held -= found.alias_size_in_bytes
  total = held + found.temp_size_in_bytes + found.generated_code_size_in_bytes
  return {
    "argument_bytes": found.argument_size_in_bytes,
    "output_bytes": found.output_size_in_bytes,
    "alias_bytes": found.alias_size_in_bytes,
    "temporary_bytes": found.temp_size_in_bytes,
    "code_bytes": found.generated_code_size_in_bytes,
    "total_bytes": total,
    "spare": 1 - total / chosen.chip.hbm_bytes,
  }


def roofline(
  costs: hlo_costs.Costs, chosen: tpu_chips.Slice, needs: float
) -> dict[str, Any]:
  """Returns the costs of a program and the least time that they take.

  Args:
    costs: of one device.
    chosen: the slice.
    needs: operations of the model per chip, without recomputation.
  """
  chip = chosen.chip
  moved = sum(one.moved * one.times for one in costs.collectives)
  times = {
    "operations": costs.operations / chip.flops,
    "memory": costs.bytes / chip.hbm_rate,
    "communication": sum(
      one.moved * one.times / chosen.collective_rate(one.group)
      for one in costs.collectives
    ),
  }
  alone = max(times["operations"], times["memory"]) + times["communication"]
  ordered = sorted(
    costs.collectives, key=lambda one: one.moved * one.times, reverse=True
  )
  return {
    "operations": costs.operations,
    "model_operations": needs,
    "hbm_bytes": costs.bytes,
    "collective_bytes": moved,
    "collectives": by_kind(costs.collectives),
    "intensity": costs.operations / costs.bytes,
    "seconds": times,
    "roofline_s": max(times.values()),
    "bound": max(times, key=lambda name: times[name]),
    "without_overlap_s": alone,
    "mfu": needs / chip.flops / alone,
    "communication_fraction": times["communication"] / alone,
    "estimated_cycles": costs.cycles,
    "largest_collectives": [one._asdict() for one in ordered[:12]],
    "largest_arrays": costs.largest,
    "custom_calls": sorted(costs.targets),
  }


def by_kind(
  collectives: Sequence[hlo_costs.Collective],
) -> dict[str, dict[str, Any]]:
  """Returns the number, the bytes and the executions of each kind."""
  found: dict[str, dict[str, Any]] = {}
  for one in collectives:
    row = found.setdefault(one.kind, {"number": 0, "times": 0, "bytes": 0.0})
    row["number"] += 1
    row["times"] += one.times
    row["bytes"] += one.moved * one.times
  return found


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns one line per case as a Markdown table."""
  rows = []
  for name, row in found.items():
    if not row["fits"]:
      gb = f"{row['needed_bytes'] / 1e9:.1f}"
      rows.append([name, gb, "does not fit", *[""] * 8])
      continue
    seconds = row["seconds"]
    rows.append(
      [
        name,
        f"{row['total_bytes'] / 1e9:.1f}",
        f"{100 * row['spare']:.0f} %",
        f"{row['operations'] / 1e12:.2f}",
        f"{row['intensity']:.0f}",
        *(f"{1e3 * seconds[key]:.2f}" for key in seconds),
        row["bound"],
        f"{row['mfu']:.2f}",
        f"{row['compile_s']:.0f}",
      ]
    )
  head = ["case", "GB per chip", "spare", "Tflop", "flop per byte"]
  head += ["operations, ms", "memory, ms", "communication, ms", "bound", "MFU"]
  return markdown.table([*head, "compile time, s"], rows)


def summary(found: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns one line per case, as launch/tpu_vm.sh shows it."""
  lines = []
  for name, row in found.items():
    chosen = tpu_chips.SLICES[CASES[name][0]]
    text = f"{chosen.accelerator} is {chosen.topology}: {name} "
    if row["fits"]:
      held, whole = row["total_bytes"] / 1e9, chosen.chip.hbm_bytes / 1e9
      least = 1e3 * row["roofline_s"]
      text += f"takes {held:.1f} of {whole:.1f} GB per chip, and at least "
      text += f"{least:.1f} ms ({row['bound']})"
    else:
      text += f"needs {row['needed_bytes'] / 1e9:.1f} GB per chip: too much"
    lines.append(text + "\n")
  return "".join(lines)


def plot(found: Mapping[str, Mapping[str, Any]], path: pathlib.Path) -> None:
  """Draws the three times of every case, and its memory."""
  figure = Figure(figsize=(11, 4.5), layout="constrained")
  left, right = figure.subplots(1, 2, sharey=True)
  fitting = {name: row for name, row in found.items() if row["fits"]}
  for n, key in enumerate(("operations", "memory", "communication")):
    times = [1e3 * row["seconds"][key] for row in fitting.values()]
    places = [place + 0.27 * (n - 1) for place in range(len(fitting))]
    left.barh(places, times, 0.25, label=key)
  left.set(xlabel="ms, at published rates", title="training is memory-bound")
  left.set_yticks(range(len(fitting)), list(fitting))
  left.legend(fontsize="small")
  used = [100 * (1 - row["spare"]) for row in fitting.values()]
  right.barh(range(len(fitting)), used, 0.6, color="gray")
  right.axvline(90, color="black", linestyle="--", label="10 % spare")
  right.legend(fontsize="small")
  right.set(xlabel="% of a chip's memory", title="cases that fit")
  for axes in (left, right):
    axes.grid(alpha=0.25)
  path.parent.mkdir(parents=True, exist_ok=True)
  figure.savefig(path, dpi=120)


if __name__ == "__main__":
  main()
