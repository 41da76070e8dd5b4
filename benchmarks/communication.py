"""What a training step communicates between devices.

  python benchmarks/communication.py --output=results/communication.json \
    --plot=docs/communication.png

Virtual devices share the cores, so their times mean nothing. Instead, this
benchmark reads the compiled step: the operations of a device, and the bytes
that its collectives receive. Weak scaling keeps the rows of a device, strong
scaling keeps the rows of the batch. The expected number of bytes is the size of
the gradient, whatever the batch. If only the rows that a step reads are
updated, these rows count instead of the table.
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

from pinrec_jax import markdown, sharding
from pinrec_jax.training import state as state_lib

DEVICES = (1, 2, 4, 8)
COLLECTIVES = (
  "all-reduce",
  "all-gather",
  "reduce-scatter",
  "all-to-all",
  "collective-permute",
)
# Small enough that a device works on all rows at once. XLA counts the body of a
# loop once, so loops over groups of rows would be missed.
SIZES = growth.Sizes(length=32, batch=32, rows=65_536)


def main() -> None:
  """Reads compiled steps, prints, writes and draws."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  parser.add_argument("--plot", type=pathlib.Path)
  options = parser.parse_args()
  found = over_devices(DEVICES)
  print(table(found))
  record.write(options.output, sys.argv[1:], devices=found)
  if options.plot:
    plot(found, options.plot)


def over_devices(counts: Sequence[int]) -> list[dict[str, Any]]:
  """Returns what `compiled` finds with each number of virtual devices.

  JAX fixes the number of devices at its start, so each number has a process.
  """
  spawn, found = multiprocessing.get_context("spawn"), []
  for count in counts:
    environment = {
      "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}",
      "JAX_PLATFORMS": "cpu",
    }
    with (
      mock.patch.dict(os.environ, environment),
      concurrent.futures.ProcessPoolExecutor(1, spawn) as pool,
    ):
      found += pool.submit(compiled).result()
  for row in found:
    alone = next(
      other["flops"]
      for other in found
      if (other["tables"], other["devices"]) == (row["tables"], 1)
    )
    row["expected_flops"] = alone * row["rows"] / SIZES.batch / row["devices"]
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
          "expected_bytes": gradient(step, sizes) if count > 1 else 0,
        }
      )
  return found


def gradient(step: growth.Step, sizes: growth.Sizes) -> int:
  """Returns the bytes of a step's gradient; of a table, its updated rows."""
  numbers = state_lib.num_parameters(step.state)
  if sizes.tables == "adagrad":
    read = 2 * sizes.batch * sizes.length + sizes.negatives
    numbers += growth.WIDTH * (read - sizes.rows)
  return 4 * numbers


def communicated(program: str) -> collections.Counter[str]:
  """Returns the bytes that collectives receive, in all iterations of loops."""
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
    count = re.search(r'"known_trip_count":\{"n":"(\d+)"', line)
    for other in re.findall(r"(?:body|to_apply|calls)=%?([\w.-]+)", line):
      called[name].append((other, int(count[1]) if count else 1))

  def total(name: str) -> collections.Counter[str]:
    found = own[name].copy()
    for other, count in called[name]:
      for kind, moved in total(other).items():
        found[kind] += count * moved
    return found

  return total(entry)


def size(shapes: str) -> int:
  """Returns the bytes of arrays such as (f32[64,64]{1,0}, s32[])."""
  found = 0
  for kind, axes in re.findall(r"([a-z]+\d*)\[([\d,]*)\]", shapes):
    bits = 8 if kind == "pred" else int(re.sub(r"\D", "", kind))
    found += bits // 8 * math.prod(int(n) for n in axes.split(",") if n)
  return found


def table(found: Sequence[Mapping[str, Any]]) -> str:
  """Returns what steps compute and communicate as a Markdown table."""
  rows = [
    [
      *(str(row[key]) for key in ("tables", "scaling", "devices", "rows")),
      f"{row['flops'] / 1e6:.0f}",
      f"{row['expected_flops'] / 1e6:.0f}",
      f"{row['bytes'] / 1e6:.2f}",
      f"{row['expected_bytes'] / 1e6:.2f}",
    ]
    for row in found
  ]
  head = ["tables", "scaling", "devices", "rows"]
  head += ["Mflop per device", "expected", "MB communicated", "expected"]
  return markdown.table(head, rows)


def plot(found: Sequence[Mapping[str, Any]], path: pathlib.Path) -> None:
  """Draws bytes and operations over the number of devices."""
  figure = Figure(figsize=(10, 4.5), layout="constrained")
  for axes, key, title in zip(
    figure.subplots(1, 2),
    ("bytes", "flops"),
    ("MB that a device receives per step", "Mflop of a device per step"),
    strict=True,
  ):
    for tables in ("adam", "adagrad"):
      for scaling, style in (("weak", "o"), ("strong", "s")):
        rows = [
          row
          for row in found
          if (row["tables"], row["scaling"]) == (tables, scaling)
          and row[f"expected_{key}"]
        ]
        counts = [row["devices"] for row in rows]
        axes.loglog(
          counts,
          [row[key] / 1e6 for row in rows],
          f"{style}-",
          label=f"{tables}, {scaling} scaling",
        )
        expected = [row[f"expected_{key}"] / 1e6 for row in rows]
        axes.loglog(counts, expected, "k--")
    axes.plot([], [], "k--", label="expected")
    axes.set(xlabel="devices", ylabel=title)
    growth.ticks(axes, sorted({row["devices"] for row in found}))
    axes.grid(alpha=0.25)
    axes.legend(fontsize="small")
  figure.suptitle("Communication and computation of a training step")
  path.parent.mkdir(parents=True, exist_ok=True)
  figure.savefig(path, dpi=120)


if __name__ == "__main__":
  main()
