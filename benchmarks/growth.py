"""How a training step grows, each curve beside the law expected of it.

  python benchmarks/growth.py --output=results/growth.json \
    --plot=docs/growth.png

Steps of a small SASRec are timed as one size grows and the others stay. The
points of a curve take turns; times are medians over rounds, ratios those of a
round. A law is a sum of terms, such as a constant and one linear in the size;
their weights are what fits best, so a curve can break its law in shape alone.

Over devices, times would mean nothing, as virtual devices share the cores. So
the compiled step is read instead: what a device computes, and how many bytes
its collectives bring it. Weak scaling keeps the rows of a device, strong those
of the batch. Expected is the size of the gradient, whatever the batch; where
only rows that are read are updated, that of those rows in place of the table.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import gc
import math
import multiprocessing
import os
import pathlib
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unittest import mock

import contest  # noqa: F401  for the path of peers
import jax
import numpy as np
import pinrec_evaluation  # of peers
import pinrec_training  # of peers
import record
import scipy.optimize
import work  # of peers
from matplotlib.figure import Figure

from pinrec_jax import config as config_lib
from pinrec_jax import sharding
from pinrec_jax.data import histories
from pinrec_jax.losses import objectives
from pinrec_jax.model import pinrec
from pinrec_jax.training import examples
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

WIDTH, HEADS = 64, 2
DEVICES = (1, 2, 4, 8)
COLLECTIVES = (
  "all-reduce", "all-gather", "reduce-scatter", "all-to-all",
  "collective-permute",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Sizes:
  """What grows."""

  length: int = 64
  batch: int = 16
  negatives: int = 256
  items: int = 10_000
  rows: int = 16_384
  tables: str = "adam"


# So few rows a device, and so short, that no work is done in groups: of a loop
# XLA reckons one turn.
ON_DEVICES = Sizes(length=32, batch=32, rows=65_536)


@dataclasses.dataclass(frozen=True)
class Curve:
  """One size that grows, and the terms of a step's expected seconds."""

  field: str
  points: Sequence[int]
  law: str
  terms: Callable[[float], Sequence[float]]
  others: Sizes = Sizes()

  def sizes(self, point: int) -> Sizes:
    """Returns all sizes of a point."""
    return dataclasses.replace(self.others, **{self.field: point})


CURVES = {
  "length": Curve(
    "length", (32, 64, 128, 256, 512),
    "constant and linear, a token", lambda x: (x, x * x),
  ),
  "batch": Curve(
    "batch", (4, 8, 16, 32, 64, 128),
    "constant and linear, a step", lambda x: (1, x),
  ),
  "negatives": Curve(
    "negatives", (128, 512, 2048, 8192, 16_384),
    "constant and linear", lambda x: (1, x),
  ),
  "items": Curve(
    "items", (1000, 10_000, 100_000, 1_000_000), "constant", lambda x: (1,)
  ),
  "rows, Adam": Curve(
    "rows", (10_000, 100_000, 1_000_000),
    "constant and linear", lambda x: (1, x),
  ),
  "rows, Adagrad": Curve(
    "rows", (10_000, 100_000, 1_000_000),
    "constant", lambda x: (1,), Sizes(tables="adagrad"),
  ),
}  # fmt: skip


@dataclasses.dataclass
class Step:
  """A training step of some sizes, and what it is called with."""

  state: state_lib.State
  batch: histories.Batch
  corpus: objectives.Corpus
  arguments: dict[str, Any]

  @classmethod
  def of(cls, sizes: Sizes, mesh: jax.sharding.Mesh) -> "Step":
    """Returns a step on full, made-up histories."""
    config = configured(sizes)
    random = np.random.default_rng(0)
    shape = sizes.batch, sizes.length + 2  # two are held out
    dataset = pinrec_evaluation.log(
      random.integers(1, sizes.items + 1, shape, np.int32), sizes.items
    )
    rows, corpus = examples.packed(config, dataset)
    each = [rows[place] for place in range(sizes.batch)]
    batch = jax.tree.map(lambda *columns: np.stack(columns), *each)
    model = pinrec.of_config(config, dataset.vocabulary)
    transform = state_lib.optimizer(config.train)
    return cls(
      state_lib.initial(model, transform, config.loss, mesh, 0),
      sharding.from_rows(mesh, batch),
      sharding.from_all(mesh, corpus),
      {
        "model": model, "transform": transform, "config": config.loss,
        "seed": 0, "rows_only": sizes.tables != "adam",
      },
    )  # fmt: skip

  def take(self) -> float:
    """Takes the step; returns its seconds."""
    began = time.perf_counter()
    self.state, metrics = step_lib.train_step(
      self.state, self.batch, self.corpus, **self.arguments
    )
    jax.block_until_ready((self.state, metrics))
    return time.perf_counter() - began

  def compiled(self) -> jax.stages.Compiled:
    """Returns the program it runs."""
    return step_lib.train_step.lower(
      self.state, self.batch, self.corpus, **self.arguments
    ).compile()


def main() -> None:
  """Measures, prints, writes and draws."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=9)
  parser.add_argument("--curves", nargs="*", choices=CURVES, default=[*CURVES])
  parser.add_argument(
    "--quick", action="store_true", help="the small end of every curve"
  )
  parser.add_argument("--output", type=pathlib.Path, required=True)
  parser.add_argument("--plot", type=pathlib.Path)
  options = parser.parse_args()
  curves = {}
  for name in options.curves:
    curve = CURVES[name]
    points = curve.points[: 3 if options.quick else None]
    curves[name] = timed(curve, points, options.rounds)
    print_curve(name, curve, curves[name])
    gc.collect()
  over = over_devices(DEVICES[: 2 if options.quick else None])
  print_devices(over)
  record.write(options.output, sys.argv[1:], curves=curves, devices=over)
  if options.plot:
    plot(curves, over, options.plot)


def configured(sizes: Sizes) -> config_lib.Config:
  """Returns a small SASRec's configuration."""
  config = pinrec_training.configured(work.Unit(WIDTH, HEADS, sizes.negatives))
  config.data.length, config.train.batch = sizes.length, sizes.batch
  config.model.rows, config.train.tables = sizes.rows, sizes.tables
  return config


def timed(
  curve: Curve, points: Sequence[int], rounds: int
) -> dict[str, dict[str, float]]:
  """Returns the times of every point of a curve, and those of its law."""
  one = sharding.device_mesh(devices=jax.devices()[:1])
  steps = {point: Step.of(curve.sizes(point), one) for point in points}
  seconds: dict[int, list[float]] = {point: [] for point in points}
  for turn in range(rounds + 1):
    for point, step in steps.items():
      taken = step.take()
      if turn:  # the first compiles
        seconds[point].append(taken)
  tokens = {p: step.batch.tokens.item.size for p, step in steps.items()}
  each = [statistics.median(seconds[point]) for point in points]
  law = fitted([curve.terms(point) for point in points], each)
  found, first = {}, seconds[points[0]]
  for point, own, expected in zip(points, each, law, strict=True):
    ratios = [a / b for a, b in zip(seconds[point], first, strict=True)]
    ratio = statistics.median(ratios) * tokens[points[0]] / tokens[point]
    found[str(point)] = {
      "seconds": own,
      "seconds_per_token": own / tokens[point],
      "ratio": ratio,
      "law_per_token": expected / tokens[point],
      "of_law": own / expected,
    }
  return found


def fitted(
  terms: Sequence[Sequence[float]], values: Sequence[float]
) -> list[float]:
  """Returns the sums of terms, none counted below 0, nearest to some values.

  Nearest in proportion, so that small values count as much as large ones.
  """
  matrix = np.array(terms, float)
  scale = matrix.max(0)
  share = matrix / scale / np.array(values)[:, None]
  weights, _ = scipy.optimize.nnls(share, np.ones(len(values)))
  return (matrix / scale @ weights).tolist()


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
    row["law_flops"] = alone * row["rows"] / ON_DEVICES.batch / row["devices"]
  return found


def compiled() -> list[dict[str, Any]]:
  """Returns what a step computes and communicates on all devices here."""
  found = []
  count, batch = jax.device_count(), ON_DEVICES.batch
  for tables in ("adam", "adagrad"):
    for scaling, rows in (("weak", count * batch), ("strong", batch)):
      sizes = dataclasses.replace(ON_DEVICES, batch=rows, tables=tables)
      step = Step.of(sizes, sharding.device_mesh())
      program = step.compiled()
      costs: Any = program.cost_analysis()
      moved = communicated(program.as_text() or "")
      gradient = 4 * state_lib.parameters(step.state)
      read = 2 * rows * sizes.length + sizes.negatives
      if tables == "adagrad":
        gradient += 4 * WIDTH * (read - sizes.rows)
      found.append(
        {
          "tables": tables,
          "scaling": scaling,
          "devices": count,
          "rows": rows,
          "flops": costs["flops"],
          "bytes": sum(moved.values()),
          "bytes_by_kind": dict(moved),
          "law_bytes": gradient if count > 1 else 0,
        }
      )
  return found


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


def print_curve(
  name: str, curve: Curve, found: Mapping[str, Mapping[str, float]]
) -> None:
  """Prints one curve."""
  print(f"\nlaw: {curve.law}\n")
  print(f"| {name} | ms a step | us a token | of the first | of the law |")
  print("|--|--|--|--|--|")
  for point, row in found.items():
    print(
      f"| {int(point):,} | {1e3 * row['seconds']:.1f} "
      f"| {1e6 * row['seconds_per_token']:.2f} | {row['ratio']:.2f} "
      f"| {row['of_law']:.2f} |"
    )


def print_devices(found: Sequence[Mapping[str, Any]]) -> None:
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


def plot(
  curves: Mapping[str, Mapping[str, Mapping[str, float]]],
  over: Sequence[Mapping[str, Any]],
  path: pathlib.Path,
) -> None:
  """Draws all curves, and their laws dashed."""
  figure = Figure(figsize=(14, 6.5), layout="constrained")
  panels = list(figure.subplots(2, 4).flat)
  for axes, (name, found) in zip(panels, curves.items(), strict=False):
    points = [int(point) for point in found]
    for key, style in (("seconds_per_token", "o-"), ("law_per_token", "k--")):
      axes.loglog(points, [1e6 * row[key] for row in found.values()], style)
    axes.set(title=name, ylabel="µs a token")
    ticks(axes, points)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, high / 10))  # so that noise does not fill it
  for axes, key, law, title in (
    (panels[-2], "bytes", "law_bytes", "Mbyte communicated"),
    (panels[-1], "flops", "law_flops", "Mflop a device"),
  ):
    for tables in ("adam", "adagrad"):
      for scaling, style in (("weak", "o"), ("strong", "s")):
        rows = [
          row
          for row in over
          if (row["tables"], row["scaling"]) == (tables, scaling) and row[law]
        ]
        counts = [row["devices"] for row in rows]
        label = f"{tables}, {scaling}"
        axes.loglog(
          counts, [row[key] / 1e6 for row in rows], f"{style}-", label=label
        )
        axes.loglog(counts, [row[law] / 1e6 for row in rows], "k--")
    axes.set(title="devices", ylabel=title)
    ticks(axes, sorted({row["devices"] for row in over}))
    axes.legend(fontsize="small")
  path.parent.mkdir(parents=True, exist_ok=True)
  figure.savefig(path, dpi=120)


def ticks(axes: Any, points: Sequence[int]) -> None:
  """Marks the points alone, as 512, 10k or 1M."""
  names = [
    f"{point / 1e6:.3g}M"
    if point >= 1e6
    else f"{point / 1e3:.3g}k"
    if point >= 1e3
    else str(point)
    for point in points
  ]
  axes.set_xticks(points, names)
  axes.set_xticks([], minor=True)


if __name__ == "__main__":
  main()
