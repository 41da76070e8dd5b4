"""Search in a sharded index, compiled for the TPU chips of one host.

  python benchmarks/tpu_search.py --output=results/tpu_search.json

It compiles the program of `index.kind="sharded"` without a TPU, as
benchmarks/tpu_compile.py does. Each case is compiled in a process of its own. A
case that is already in the output is left out.
"""

import argparse
import json
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

import hlo_costs
import jax
import jax.numpy as jnp
import record
import tpu_chips
import tpu_compile
import tpu_programs

from pinrec_jax import markdown, sharding
from pinrec_jax.index import sharded

ITEMS = 100_000_000
NEIGHBOURS = 256  # Of each query. A server fetches 192 for most lists.
RECALL = 0.99  # The default of index.min_recall.
# A product of precision "high" takes three passes in bfloat16. The compiled
# program names it once.
PASSES = 3
# Three vectors each of 32 requests, and 18 vectors each of 64 requests.
QUERIES = (96, 1152)
DIMS = (64, 128)
CASES = {
  f"{host}/{dim}/{queries}": (host, dim, queries)
  for host in tpu_chips.HOSTS
  for dim in DIMS
  for queries in QUERIES
}


def main() -> None:
  """Compiles, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--cases", nargs="*", choices=CASES, default=[*CASES])
  parser.add_argument("--items", type=int, default=ITEMS)
  parser.add_argument("--output", type=pathlib.Path, required=True)
  options = parser.parse_args()
  jax.config.update("jax_platforms", "cpu")
  found = {}
  if options.output.exists():
    found = json.loads(options.output.read_text("utf-8"))["cases"]
  for case in options.cases:
    if case not in found:
      chosen = tpu_chips.HOSTS[CASES[case][0]]
      found[case] = tpu_compile.alone(chosen, compiled, case, options.items)
      record.write(options.output, sys.argv[1:], cases=found)
  print(table(found))


def compiled(case: str, items: int) -> dict[str, Any]:
  """Returns what the compiled program of a case needs."""
  host, dim, queries = CASES[case]
  chosen = tpu_chips.HOSTS[host]
  with tpu_programs.compiling_for(chosen) as devices:
    mesh = sharding.device_mesh(devices=devices)
    split, whole = sharding.layouts(mesh)
    rows = sharded.padded(items, chosen.chips)
    lowered = sharded.nearest.lower(
      jax.ShapeDtypeStruct((rows, dim), jnp.float32, sharding=split),
      jax.ShapeDtypeStruct((rows,), jnp.bool_, sharding=split),
      jax.ShapeDtypeStruct((queries, dim), jnp.float32, sharding=whole),
      mesh=mesh,
      k=NEIGHBOURS,
      recall=RECALL,
    )
    began = time.perf_counter()
    program = lowered.compile()
  seconds = time.perf_counter() - began
  costs = hlo_costs.Program(program.as_text() or "").costs()
  costs = costs._replace(operations=PASSES * costs.operations)
  needs = 2.0 * queries * items * dim / chosen.chips
  return {
    "items": items,
    "neighbours": NEIGHBOURS,
    "recall": RECALL,
    "compile_s": seconds,
    **tpu_compile.memory(program, chosen),
    **tpu_compile.roofline(costs, chosen, needs),
  }


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns one line per case as a Markdown table."""
  rows = []
  for name, row in found.items():
    host, dim, queries = CASES[name]
    seconds = row["seconds"]
    rows.append(
      [
        host,
        str(dim),
        f"{queries:,}",
        f"{row['total_bytes'] / 1e9:.1f}",
        f"{100 * row['spare']:.0f} %",
        *(f"{1e3 * seconds[key]:.2f}" for key in seconds),
        row["bound"],
        f"{queries / row['without_overlap_s']:,.0f}",
        f"{row['compile_s']:.0f}",
      ]
    )
  head = ["chips", "dim", "queries", "GB per chip", "spare", "operations, ms"]
  head += ["memory, ms", "communication, ms", "bound", "queries per second"]
  return markdown.table([*head, "compile time, s"], rows)


if __name__ == "__main__":
  main()
