"""How the time of a training step grows, compared with the expected time.

  python benchmarks/growth.py --output=results/growth.json \
    --plot=docs/growth.png

Steps of a small SASRec are timed as one size grows and the others stay. The
points of a curve are measured in interleaved rounds. Times are medians over
rounds, and ratios are medians of the rounds' ratios. The expected time is a sum
of terms, such as a constant and a linear one, with the weights that fit best.
So only the shape of a curve can differ from it. benchmarks/communication.py
measures growth over devices.
"""

import argparse
import dataclasses
import gc
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import record
import scipy.optimize
import timing
from matplotlib import ticker
from matplotlib.figure import Figure
from peers import pinrec_evaluation, pinrec_training, work

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
  """The sizes that grow.

  Attributes:
    length: positions of a history.
    batch: histories in a batch.
    negatives: uniform negatives.
    items: items of the catalog.
    rows: rows of the hash table.
    tables: optimizer of the hash table.
  """

  length: int = 64
  batch: int = 16
  negatives: int = 256
  items: int = 10_000
  rows: int = 16_384
  tables: str = "adam"


@dataclasses.dataclass(frozen=True)
class Curve:
  """One size that grows, and the expected seconds of a step.

  Attributes:
    field: name of the size.
    points: its values.
    label: of the horizontal axis.
    law: the expected terms, in words.
    terms: the terms at one value.
    others: the sizes that stay.
  """

  field: str
  points: Sequence[int]
  label: str
  law: str
  terms: Callable[[float], Sequence[float]]
  others: Sizes = Sizes()

  def sizes(self, point: int) -> Sizes:
    """Returns all sizes of a point."""
    return dataclasses.replace(self.others, **{self.field: point})


ROWS = (10_000, 100_000, 1_000_000)
CURVES = {
  "length": Curve(
    "length",
    (32, 64, 128, 256, 512),
    "events of a history",
    "constant and linear per token",
    lambda x: (x, x * x),
  ),
  "batch": Curve(
    "batch",
    (4, 8, 16, 32, 64, 128),
    "histories in a batch",
    "constant and linear per step",
    lambda x: (1, x),
  ),
  "negatives": Curve(
    "negatives",
    (128, 512, 2048, 8192, 16_384),
    "negatives",
    "constant and linear",
    lambda x: (1, x),
  ),
  "items": Curve(
    "items",
    (1000, 10_000, 100_000, 1_000_000),
    "items of the catalog",
    "constant",
    lambda x: (1,),
  ),
  "rows, Adam": Curve(
    "rows",
    ROWS,
    "rows of the hash table",
    "constant and linear",
    lambda x: (1, x),
  ),
  "rows, Adagrad": Curve(
    "rows",
    ROWS,
    "rows of the hash table",
    "constant",
    lambda x: (1,),
    Sizes(tables="adagrad"),
  ),
}


@dataclasses.dataclass
class Step:
  """A training step of some size, and its arguments."""

  state: state_lib.State
  batch: schema.Batch
  corpus: objectives.Corpus
  arguments: dict[str, Any]

  @classmethod
  def of(
    cls, config: config_lib.Config, items: int, mesh: jax.sharding.Mesh
  ) -> "Step":
    """Returns a step on full random histories over a number of items."""
    random = np.random.default_rng(0)
    # Two more events, because each history holds out two.
    shape = config.train.batch_size, config.data.sequence_length + 2
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
        "model": model,
        "transform": transform,
        "config": config.loss,
        "seed": 0,
        "rows_only": config.train.table_optimizer != "adam",
      },
    )

  def take(self) -> tuple[state_lib.State, step_lib.Metrics]:
    """Takes the step; returns what to wait for."""
    self.state, metrics = step_lib.train_step(
      self.state, self.batch, self.corpus, **self.arguments
    )
    return self.state, metrics

  def compiled(self) -> jax.stages.Compiled:
    """Returns the compiled program."""
    return step_lib.train_step.lower(
      self.state, self.batch, self.corpus, **self.arguments
    ).compile()


def main() -> None:
  """Measures, prints, writes and draws."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=9)
  parser.add_argument("--curves", nargs="*", choices=CURVES, default=[*CURVES])
  parser.add_argument(
    "--quick", action="store_true", help="only the first points of each curve"
  )
  parser.add_argument("--output", type=pathlib.Path, required=True)
  parser.add_argument("--plot", type=pathlib.Path)
  options = parser.parse_args()
  found = {}
  for name in options.curves:
    curve = CURVES[name]
    points = curve.points[: 3 if options.quick else None]
    found[name] = timed(curve, points, options.rounds)
    print(f"\nexpected: {curve.law}\n\n{table(name, found[name])}")
    gc.collect()
  record.write(options.output, sys.argv[1:], curves=found)
  if options.plot:
    plot(found, options.plot)


def configured(sizes: Sizes) -> config_lib.Config:
  """Returns a small SASRec's configuration."""
  unit = work.Unit(WIDTH, HEADS, sizes.negatives)
  return config_lib.replace(
    pinrec_training.configured(unit),
    **{
      "data.sequence_length": sizes.length,
      "train.batch_size": sizes.batch,
      "model.table_size": sizes.rows,
      "train.table_optimizer": sizes.tables,
    },
  )


def timed(
  curve: Curve, points: Sequence[int], rounds: int
) -> dict[str, dict[str, float]]:
  """Returns measured and expected times of every point of a curve."""
  one = sharding.device_mesh(devices=jax.devices()[:1])
  steps = {}
  for point in points:
    sizes = curve.sizes(point)
    steps[point] = Step.of(configured(sizes), sizes.items, one)
  cases = {point: step.take for point, step in steps.items()}
  times = timing.compared(timing.interleaved(cases, rounds), points[0])
  tokens = {p: step.batch.tokens.item.size for p, step in steps.items()}
  expected = fitted(
    [curve.terms(point) for point in points],
    [times[point]["seconds"] for point in points],
  )
  found = {}
  for point, law in zip(points, expected, strict=True):
    seconds, ratio = times[point]["seconds"], times[point]["ratio"]
    found[str(point)] = {
      "seconds": seconds,
      "seconds_per_token": seconds / tokens[point],
      "ratio": ratio * tokens[points[0]] / tokens[point],
      "expected_per_token": law / tokens[point],
      "of_expected": seconds / law,
    }
  return found


def fitted(
  terms: Sequence[Sequence[float]], values: Sequence[float]
) -> list[float]:
  """Returns the sums of terms that are nearest to the values.

  Weights are non-negative, and errors are relative.
  """
  matrix = np.array(terms, float)
  scale = matrix.max(0)
  relative = matrix / scale / np.array(values)[:, None]
  weights, _ = scipy.optimize.nnls(relative, np.ones(len(values)))
  return (matrix / scale @ weights).tolist()


def table(name: str, found: Mapping[str, Mapping[str, float]]) -> str:
  """Returns one curve as a Markdown table."""
  rows = [
    [
      f"{int(point):,}",
      f"{1e3 * row['seconds']:.1f}",
      f"{1e6 * row['seconds_per_token']:.2f}",
      f"{row['ratio']:.2f}",
      f"{row['of_expected']:.2f}",
    ]
    for point, row in found.items()
  ]
  head = ["ms per step", "us per token", "vs. first", "vs. expected"]
  return markdown.table([name, *head], rows)


def plot(
  curves: Mapping[str, Mapping[str, Mapping[str, float]]], path: pathlib.Path
) -> None:
  """Draws all curves, measured and expected."""
  figure = Figure(figsize=(12, 7), layout="constrained")
  panels = list(figure.subplots(2, 3).flat)
  for axes, (name, found) in zip(panels, curves.items(), strict=False):
    points = [int(point) for point in found]
    for key, style, label in (
      ("seconds_per_token", "o-", "measured"),
      ("expected_per_token", "k--", f"expected: {CURVES[name].law}"),
    ):
      values = [1e6 * row[key] for row in found.values()]
      axes.loglog(points, values, style, label=label)
    axes.set(title=name, ylabel="µs per token", xlabel=CURVES[name].label)
    ticks(axes, points)
    low, high = axes.get_ylim()
    # Noise should not fill the panel.
    axes.set_ylim(min(low, high / 10), 1.8 * high)
    axes.legend(fontsize="small")
    axes.grid(alpha=0.25)
  for axes in panels[len(curves) :]:
    axes.set_axis_off()
  figure.suptitle("Time of a training step as one size grows")
  path.parent.mkdir(parents=True, exist_ok=True)
  figure.savefig(path, dpi=120)


def ticks(axes: Any, points: Sequence[int]) -> None:
  """Marks the points alone, as 512, 10k or 1M, and 1, 2, 5, 10 and so on."""
  names = [
    f"{point / 1e6:.0f}M"
    if point >= 1e6
    else f"{point / 1e3:.0f}k"
    if point >= 1e3
    else str(point)
    for point in points
  ]
  axes.set_xticks(points, names)
  axes.set_xticks([], minor=True)
  axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
  axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
  axes.yaxis.set_minor_formatter(ticker.NullFormatter())


if __name__ == "__main__":
  main()
