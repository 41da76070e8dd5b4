"""Plots of one row of a report: its arms, a matrix of gains, or a curve."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import ticker
from matplotlib.figure import Figure

UNITS = {
  "recall": "fraction of targets",
  "unordered_recall": "fraction of targets",
  "distinct_recall": "fraction of targets",
  "popularity_recall": "fraction of targets",
  "ndcg": "mean over users",
  "coverage": "fraction of the catalog",
  "diversity": "fraction of distinct items",
  "retrieved_diversity": "fraction of distinct items",
  "recency": "0 oldest, 1 latest event",
  "vectors_kept": "mean over users",
}
BARS = "bars: standard deviation over seeds"


class Value(NamedTuple):
  """Mean and standard deviation over seeds; NaN if undefined."""

  mean: float
  std: float


def value(row: Mapping[str, Any], arm: str, metric: str) -> Value:
  """Returns a figure of a stored report, whose null means NaN."""
  own = row["arms"][arm][metric]
  return Value(
    *(math.nan if own[key] is None else own[key] for key in ("mean", "std"))
  )


def _label(metric: str) -> str:
  """Returns a metric with its unit, as the label of an axis."""
  return f"{metric}\n({UNITS[metric.partition('@')[0]]})"


def _save(figure: Figure, path: pathlib.Path) -> None:
  for axes in figure.axes:
    axes.spines[["top", "right"]].set_visible(False)
  path.parent.mkdir(parents=True, exist_ok=True)
  figure.savefig(path, dpi=120)


def arms(
  row: Mapping[str, Any],
  metrics: Sequence[str],
  title: str,
  path: pathlib.Path,
) -> None:
  """Plots every metric of every arm, one panel per metric.

  Args:
    row: of a report.
    metrics: names of the figures.
    title: of the plot.
    path: of the image.
  """
  names = list(row["arms"])
  width, height = 2 + 2.6 * len(metrics), 2.2 + 0.36 * len(names)
  figure = Figure(figsize=(max(width, 7.5), height), layout="constrained")
  panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
  places = np.arange(len(names))
  for axes, metric in zip(panels, metrics, strict=True):
    found = [value(row, name, metric) for name in names]
    axes.axvline(found[0].mean, color="0.7", linestyle="--", linewidth=1)
    axes.errorbar(
      [own.mean for own in found],
      places,
      xerr=[own.std for own in found],
      fmt="o",
      capsize=3,
    )
    axes.set_xlabel(_label(metric))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(3))
    axes.grid(axis="both", alpha=0.25)
    axes.margins(x=0.1)
  panels[0].set_yticks(places, names)
  panels[0].set_ylim(len(names) - 0.5, -0.5)
  figure.suptitle(f"{title}\n({BARS}; dashed: {names[0]})", fontsize="medium")
  _save(figure, path)


def matrix(
  row: Mapping[str, Any],
  metrics: Sequence[str],
  title: str,
  path: pathlib.Path,
) -> None:
  """Plots the gains of all tests, one line per arm and one column per metric.

  Args:
    row: of a report; it tests all arms but the first against the first.
    metrics: names of the figures, as "recall@10/OUTCOME".
    title: of the plot.
    path: of the image.
  """
  baseline, *names = row["arms"]
  tests = {(test["arm"], test["metric"]): test for test in row["verdicts"]}
  gain, std = (
    np.array(
      [
        [100 * (tests[name, metric][key] or 0.0) for metric in metrics]
        for name in names
      ]
    )
    for key in ("gain", "std")
  )
  figure = Figure(figsize=(8, 1.8 + 0.7 * len(names)), layout="constrained")
  axes = figure.subplots()
  most = abs(gain).max() or 1.0
  shown = axes.imshow(gain, cmap="RdBu", vmin=-most, vmax=most, aspect="auto")
  for (line, column), number in np.ndenumerate(gain):
    axes.text(
      column,
      line,
      f"{number:+.1f} ± {std[line, column]:.1f}",
      ha="center",
      va="center",
      color="white" if abs(number) > most / 2 else "black",
    )
  axes.set_xticks(range(len(metrics)), [m.partition("/")[2] for m in metrics])
  axes.set_yticks(range(len(names)), names)
  axes.set_xlabel(f"outcome of the target ({metrics[0].partition('/')[0]})")
  axes.set_ylabel("requested outcome")
  figure.colorbar(shown, label=f"gain over {baseline}, %")
  figure.suptitle(
    f"{title}\n(gain ± standard deviation over seeds)", fontsize="medium"
  )
  _save(figure, path)


def curve(
  row: Mapping[str, Any],
  metrics: Sequence[str],
  title: str,
  path: pathlib.Path,
) -> None:
  """Plots the second metric against the first, one point per arm.

  Args:
    row: of a report; its arms are in the order of the curve.
    metrics: names of the two figures.
    title: of the plot.
    path: of the image.
  """
  figure = Figure(figsize=(7.5, 4.5), layout="constrained")
  axes = figure.subplots()
  across, upward = (
    np.array([value(row, arm, metric) for arm in row["arms"]]).T
    for metric in metrics
  )
  axes.plot(across[0], upward[0], color="0.6", linewidth=1, zorder=0)
  for arm, x, y, x_std, y_std in zip(
    row["arms"], across[0], upward[0], across[1], upward[1], strict=True
  ):
    axes.errorbar(
      x, y, xerr=x_std, yerr=y_std, marker="o", capsize=3, label=arm
    )
  axes.set_xlabel(_label(metrics[0]))
  axes.set_ylabel(_label(metrics[1]))
  axes.grid(alpha=0.25)
  figure.legend(loc="outside right upper", title="budget")
  figure.suptitle(f"{title}\n({BARS})", fontsize="medium")
  _save(figure, path)
