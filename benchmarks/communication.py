"""What a training step communicates over devices, beside what is expected.

  python benchmarks/communication.py --output=results/communication.json \
    --plot=docs/communication.png

Times would mean nothing, as virtual devices share the cores. So the compiled
step is read: what a device computes, and how many bytes its collectives bring
it. Weak scaling keeps the rows of a device, strong those of the batch. Expected
is the size of the gradient, whatever the batch; where only rows that are read
are updated, that of those rows in place of the table.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import math
import multiprocessing
import os
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from unittest import mock

import growth
import jax
import record
from matplotlib.figure import Figure

from pinrec_jax import sharding
from pinrec_jax.training import state as state_lib

DEVICES = (1, 2, 4, 8)
COLLECTIVES = (
  "all-reduce", "all-gather", "reduce-scatter", "all-to-all",
  "collective-permute",
)  # fmt: skip
# So few rows a device, and so short, that no work is done in groups: of a loop
# XLA reckons one turn.
SIZES = growth.Sizes(length=32, batch=32, rows=65_536)


def main() -> None:
  """Reads, prints, writes and draws."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  parser.add_argument("--plot", type=pathlib.Path)
  options = parser.parse_args()
  found = over_devices(DEVICES)
  table(found)
  record.write(options.output, sys.argv[1:], devices=found)
  if options.plot:
    plot(found, options.plot)


def over_devices(counts: Sequence[int]) -> list[dict[str, Any]]:
  """Returns what `compiled` finds with each number of virtual devices.

  Each is a process of its own: the code asks how many devices there are.
  """
  spawn, found = multiprocessing.get_context("spawn"), []
  for count in counts:
    own = {
      "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}",
      "JAX_PLATFORMS": "cpu",
    }
    with (
      mock.patch.dict(os.environ, own),
      concurrent.futures.ProcessPoolExecutor(1, spawn) as pool,
    ):
      found += pool.submit(compiled).result()
  for row in found:
    alone = next(
      other["flops"]
      for other in found
      if (other["tables"], other["devices"]) == (row["tables"], 1)
    )
    row["law_flops"] = alone * row["rows"] / SIZES.batch / row["devices"]
  return found


def compiled() -> list[dict[str, Any]]:
  """Returns what a step computes and communicates on all devices here."""
  found = []
  count, batch = jax.device_count(), SIZES.batch
  for tables in ("adam", "adagrad"):
    for scaling, rows in (("weak", count * batch), ("strong", batch)):
      sizes = dataclasses.replace(SIZES, batch=rows, tables=tables)
      step = growth.Step.of(
        growth.configured(sizes), sizes.items, sharding.device_mesh()
      )
      program = step.compiled()
      costs: Any = program.cost_analysis()
      moved = communicated(program.as_text() or "")
      found.append(
        {
          "tables": tables,
          "scaling": scaling,
          "devices": count,
          "rows": rows,
          "flops": costs["flops"],
          "bytes": sum(moved.values()),
          "bytes_by_kind": dict(moved),
          "law_bytes": gradient(step, sizes) if count > 1 else 0,
        }
      )
  return found


def gradient(step: growth.Step, sizes: growth.Sizes) -> int:
  """Returns the bytes of a step's gradient: of a table, what is updated."""
  numbers = state_lib.num_parameters(step.state)
  if sizes.tables == "adagrad":
    read = 2 * sizes.batch * sizes.length + sizes.negatives
    numbers += growth.WIDTH * (read - sizes.rows)
  return 4 * numbers


def communicated(program: str) -> collections.Counter[str]:
  """Returns the bytes of the results of collectives, a loop's each turn."""
  own = collections.defaultdict(collections.Counter)
  called = collections.defaultdict(list)
  name, entry = "", ""
  of_result = re.compile(rf" = (.*?) ({'|'.join(COLLECTIVES)})(?:-done)?\(")
  for line in program.splitlines():
    if begun := re.match(r"(ENTRY )?%?([\w.-]+) .*\{$", line):
      name = begun[2]
      entry = name if begun[1] else entry
    if result := of_result.search(line):
      own[name][result[2]] += size(result[1])
    turns = re.search(r'"known_trip_count":\{"n":"(\d+)"', line)
    for other in re.findall(r"(?:body|to_apply|calls)=%?([\w.-]+)", line):
      called[name].append((other, int(turns[1]) if turns else 1))

  def total(name: str) -> collections.Counter[str]:
    found = own[name].copy()
    for other, turns in called[name]:
      for kind, moved in total(other).items():
        found[kind] += turns * moved
    return found

  return total(entry)


def size(shapes: str) -> int:
  """Returns the bytes of arrays such as (f32[64,64]{1,0}, s32[])."""
  found = 0
  for kind, axes in re.findall(r"([a-z]+\d*)\[([\d,]*)\]", shapes):
    bits = 8 if kind == "pred" else int(re.sub(r"\D", "", kind))
    found += bits // 8 * math.prod(int(n) for n in axes.split(",") if n)
  return found


def table(found: Sequence[Mapping[str, Any]]) -> None:
  """Prints what steps communicate."""
  print(
    "\n| tables | scaling | devices | rows | Mflop a device | law "
    "| Mbyte communicated | law |\n|--|--|--|--|--|--|--|--|"
  )
  for row in found:
    print(
      f"| {row['tables']} | {row['scaling']} | {row['devices']} "
      f"| {row['rows']} | {row['flops'] / 1e6:.0f} "
      f"| {row['law_flops'] / 1e6:.0f} | {row['bytes'] / 1e6:.2f} "
      f"| {row['law_bytes'] / 1e6:.2f} |"
    )


def plot(found: Sequence[Mapping[str, Any]], path: pathlib.Path) -> None:
  """Draws bytes and operations over devices, what is expected dashed."""
  figure = Figure(figsize=(10, 4), layout="constrained")
  for axes, key, law, title in zip(
    figure.subplots(1, 2),
    ("bytes", "flops"),
    ("law_bytes", "law_flops"),
    ("Mbyte communicated", "Mflop a device"),
    strict=True,
  ):
    for tables in ("adam", "adagrad"):
      for scaling, style in (("weak", "o"), ("strong", "s")):
        rows = [
          row
          for row in found
          if (row["tables"], row["scaling"]) == (tables, scaling) and row[law]
        ]
        counts = [row["devices"] for row in rows]
        label = f"{tables}, {scaling}"
        axes.loglog(
          counts, [row[key] / 1e6 for row in rows], f"{style}-", label=label
        )
        axes.loglog(counts, [row[law] / 1e6 for row in rows], "k--")
    axes.set(title="devices", ylabel=title)
    growth.ticks(axes, sorted({row["devices"] for row in found}))
    axes.legend(fontsize="small")
  path.parent.mkdir(parents=True, exist_ok=True)
  figure.savefig(path, dpi=120)


if __name__ == "__main__":
  main()
