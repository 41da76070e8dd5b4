"""What people would rather look at than read."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pinrec_jax.data import profile as profile_lib
from pinrec_jax.types import Number

# By arm and metric, its "mean" and "spread" over seeds.
Means = Mapping[str, Mapping[str, Mapping[str, Any]]]


def _finish(
  figure: Figure, axes: Axes, path: pathlib.Path, *, grid: bool = True
) -> None:
  axes.spines[["top", "right"]].set_visible(False)
  if grid:
    axes.grid(axis="y", alpha=0.3)
  path.parent.mkdir(parents=True, exist_ok=True)
  figure.tight_layout()
  figure.savefig(path, dpi=120)


def budget_sweep(
  rows: Sequence[Mapping[str, Number]], path: pathlib.Path
) -> None:
  """Plots each action's rate, relative to its lowest, along the sweep."""
  names = [key[7:] for key in rows[0] if key.startswith("budget/")]
  figure = Figure(figsize=(10, 4))
  axes = figure.subplots()
  for name in names:
    rates = [100 * row[f"rate/{name}"] for row in rows]
    lowest = min(rates) or 1.0
    axes.plot(
      [rate / lowest for rate in rates],
      marker="o",
      label=f"{name} ({min(rates):.3f} to {max(rates):.3f} %)",
    )
  ticks = [
    "\n".join(
      f"{100 * row[f'budget/{name}']:.0f} % {name}"
      for name in names
      if row[f"budget/{name}"]
    )
    for row in rows
  ]
  axes.set_xticks(range(len(rows)), ticks, fontsize=6)
  axes.set_xlabel("budget")
  axes.set_ylabel("rate of the action among the candidates,\nover its lowest")
  axes.legend(title="acted on so in the test log")
  _finish(figure, axes, path)


def recalls(
  report: Mapping[str, Number],
  models: Mapping[str, str],
  outcomes: Sequence[str],
  k: int,
  path: pathlib.Path,
) -> None:
  """Plots recall@k of several models side by side, overall and per outcome.

  Args:
    report: flat figures.
    models: the label of each prefix of the report's keys.
    outcomes: which outcomes to show.
    k: the cutoff.
    path: of the image.
  """
  figure = Figure(figsize=(8, 4))
  axes = figure.subplots()
  groups = ["", *(f"/{name}" for name in outcomes)]
  width = 0.8 / len(models)
  for n, (prefix, label) in enumerate(models.items()):
    heights = [report[f"{prefix}recall@{k}{group}"] for group in groups]
    places = [place + width * n for place in range(len(groups))]
    axes.bar(places, heights, width, label=label)
  middle = width * (len(models) - 1) / 2
  axes.set_xticks(
    [place + middle for place in range(len(groups))],
    ["all", *outcomes],
    fontsize=8,
  )
  axes.set_ylabel(f"recall@{k} of one list of {k}")
  axes.legend()
  _finish(figure, axes, path)


def training(
  rows: Sequence[Mapping[str, float | int]], path: pathlib.Path
) -> None:
  """Plots the loss and the validation recall of a run over its steps."""
  figure = Figure(figsize=(8, 4))
  axes = figure.subplots()
  losses = [(row["step"], row["loss"]) for row in rows if "loss" in row]
  axes.plot(*zip(*losses, strict=True), color="tab:blue")
  axes.set_xlabel("step")
  axes.set_ylabel("training loss (nats)", color="tab:blue")
  name = "validation/recall@10"
  found = [(row["step"], row[name]) for row in rows if name in row]
  if found:
    right = axes.twinx()
    right.plot(*zip(*found, strict=True), color="tab:orange", marker="o")
    right.set_ylabel(name, color="tab:orange")
  _finish(figure, axes, path)


def profile(found: profile_lib.Profile, path: pathlib.Path) -> None:
  """Plots how often each action is, and how lengths, gaps, sessions spread."""
  figure = Figure(figsize=(16, 4))
  row = figure.subplots(1, 1 + len(found.spreads))
  counts = {
    key.partition("/")[2]: count
    for key, count in found.figures.items()
    if key.startswith("actions/")
  }
  row[0].barh(list(counts), list(counts.values()))
  row[0].set_xlabel("events with the action")
  told = {
    "length": "engagements of a user",
    "gap": "seconds between two engagements",
    "session": "engagements in a session",
  }
  for axes, (name, spread) in zip(row[1:], found.spreads.items(), strict=True):
    values = np.maximum(spread.values, 1)
    bins = np.geomspace(1, max(values.max(initial=1), 2), 40)
    axes.hist(values, bins=bins, weights=spread.counts)
    axes.set_xscale("log")
    axes.set_xlabel(told[name])
  for axes in row[:-1]:
    axes.spines[["top", "right"]].set_visible(False)
  _finish(figure, row[-1], path)


def arms(means: Means, metrics: Sequence[str], path: pathlib.Path) -> None:
  """Plots what arms reach beside the first of them, a line a metric."""
  figure = Figure(figsize=(10, 4))
  axes = figure.subplots()
  first = next(iter(means.values()))
  for name in metrics:
    one = first[name]["mean"] or 1.0
    axes.errorbar(
      range(len(means)),
      [100 * (found[name]["mean"] / one - 1) for found in means.values()],
      yerr=[100 * found[name]["spread"] / one for found in means.values()],
      marker="o",
      capsize=3,
      label=f"{name} (first: {first[name]['mean']:.4g})",
    )
  axes.axhline(0, color="0.5", linewidth=0.8)
  axes.set_xticks(range(len(means)), list(means), rotation=15, ha="right")
  axes.set_ylabel("beside the first, %")
  axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
  _finish(figure, axes, path)


def gains(means: Means, metrics: Sequence[str], path: pathlib.Path) -> None:
  """Plots what arms gain over the first of them as a matrix, in per cent."""
  first, *arms = means
  gain = np.array(
    [
      [
        100 * (means[arm][name]["mean"] / (means[first][name]["mean"] or 1) - 1)
        for name in metrics
      ]
      for arm in arms
    ]
  )
  figure = Figure(figsize=(8, 4))
  axes = figure.subplots()
  most = abs(gain).max() or 1.0
  axes.imshow(gain, cmap="RdBu", vmin=-most, vmax=most, aspect="auto")
  for (row, column), value in np.ndenumerate(gain):
    ink = "white" if abs(value) > most / 2 else "black"
    axes.text(column, row, f"{value:+.1f}", ha="center", va="center", c=ink)
  axes.set_xticks(range(len(metrics)), metrics)
  axes.set_yticks(range(len(arms)), arms)
  axes.set_title(f"over {first}, %")
  _finish(figure, axes, path, grid=False)


def trade_off(means: Means, metrics: Sequence[str], path: pathlib.Path) -> None:
  """Plots the second metric over the first, a point an arm, joined in order."""
  figure = Figure(figsize=(8, 4))
  axes = figure.subplots()
  across, upward = (
    np.array(
      [[found[name][k] for k in ("mean", "spread")] for found in means.values()]
    ).T
    for name in metrics[:2]
  )
  axes.errorbar(
    across[0], upward[0], xerr=across[1], yerr=upward[1], marker="o", capsize=3
  )
  for arm, x, y in zip(means, across[0], upward[0], strict=True):
    axes.annotate(arm, (x, y), xytext=(4, 4), textcoords="offset points")
  axes.set_xlabel(metrics[0])
  axes.set_ylabel(metrics[1])
  _finish(figure, axes, path)
