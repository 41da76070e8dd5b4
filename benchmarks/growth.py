"""How a training step grows, each curve beside the law expected of it.

  python benchmarks/growth.py --output=results/growth.json \
    --plot=docs/growth.png

Steps of a small SASRec are timed as one size grows and the others stay. The
points of a curve take turns; times are medians over rounds, ratios those of a
round. A law is a sum of terms, such as a constant and one linear in the size;
their weights are what fits best, so a curve can break its law in shape alone.
benchmarks/communication.py tells how it grows over devices.
"""

import argparse
import dataclasses
import gc
import pathlib
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
from pinrec_jax import markdown, sharding
from pinrec_jax.data import schema
from pinrec_jax.losses import objectives
from pinrec_jax.model import pinrec
from pinrec_jax.training import optimizer, training_data
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib

WIDTH, HEADS = 64, 2


@dataclasses.dataclass(frozen=True)
class Sizes:
  """What grows."""

  length: int = 64
  batch: int = 16
  negatives: int = 256
  items: int = 10_000
  rows: int = 16_384
  tables: str = "adam"


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
  batch: schema.Batch
  corpus: objectives.Corpus
  arguments: dict[str, Any]

  @classmethod
  def of(
    cls, config: config_lib.Config, items: int, mesh: jax.sharding.Mesh
  ) -> "Step":
    """Returns a step on full, made-up histories of so many items."""
    random = np.random.default_rng(0)
    shape = (
      config.train.batch_size,
      config.data.sequence_length + 2,
    )  # two are held out
    dataset = pinrec_evaluation.log(
      random.integers(1, items + 1, shape, np.int32), items
    )
    rows, corpus = training_data.packed(config, dataset)
    each = [rows[place] for place in range(config.train.batch_size)]
    batch = jax.tree.map(lambda *columns: np.stack(columns), *each)
    model = pinrec.of_config(config, dataset.vocabulary)
    transform = optimizer.build(config.train)
    return cls(
      state_lib.initial(model, transform, mesh, 0),
      sharding.from_rows(mesh, batch),
      sharding.from_all(mesh, corpus),
      {
        "model": model, "transform": transform, "config": config.loss,
        "seed": 0, "rows_only": config.train.table_optimizer != "adam",
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
  record.write(options.output, sys.argv[1:], curves=curves)
  if options.plot:
    plot(curves, options.plot)


def configured(sizes: Sizes) -> config_lib.Config:
  """Returns a small SASRec's configuration."""
  config = pinrec_training.configured(work.Unit(WIDTH, HEADS, sizes.negatives))
  config.data.sequence_length, config.train.batch_size = (
    sizes.length,
    sizes.batch,
  )
  config.model.table_size, config.train.table_optimizer = (
    sizes.rows,
    sizes.tables,
  )
  return config


def timed(
  curve: Curve, points: Sequence[int], rounds: int
) -> dict[str, dict[str, float]]:
  """Returns the times of every point of a curve, and those of its law."""
  one = sharding.device_mesh(devices=jax.devices()[:1])
  steps = {}
  for point in points:
    sizes = curve.sizes(point)
    steps[point] = Step.of(configured(sizes), sizes.items, one)
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


def print_curve(
  name: str, curve: Curve, found: Mapping[str, Mapping[str, float]]
) -> None:
  """Prints one curve."""
  print(f"\nlaw: {curve.law}\n")
  rows = [
    [
      f"{int(point):,}",
      f"{1e3 * row['seconds']:.1f}",
      f"{1e6 * row['seconds_per_token']:.2f}",
      f"{row['ratio']:.2f}",
      f"{row['of_law']:.2f}",
    ]
    for point, row in found.items()
  ]
  head = [name, "ms a step", "us a token", "of the first", "of the law"]
  print(markdown.table(head, rows))


def plot(
  curves: Mapping[str, Mapping[str, Mapping[str, float]]], path: pathlib.Path
) -> None:
  """Draws all curves, and their laws dashed."""
  figure = Figure(figsize=(14, 6.5), layout="constrained")
  panels = list(figure.subplots(2, 3).flat)
  for axes, (name, found) in zip(panels, curves.items(), strict=False):
    points = [int(point) for point in found]
    for key, style in (("seconds_per_token", "o-"), ("law_per_token", "k--")):
      axes.loglog(points, [1e6 * row[key] for row in found.values()], style)
    axes.set(title=name, ylabel="µs a token")
    ticks(axes, points)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, high / 10))  # so that noise does not fill it
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
