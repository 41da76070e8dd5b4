"""Plots of a run."""

import io
import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Real
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pinrec_jax import files
from pinrec_jax.data import statistics as statistics_lib
from pinrec_jax.types import Number

Models = Mapping[str, Mapping[str, Number]]  # Figures of each model by name.
# Distributions of a log: the values, and the things that are counted.
SPREADS = {
  "length": ("engagements of a user", "users"),
  "gap": ("seconds between two engagements, 0 drawn as 1", "gaps"),
  "session": ("engagements in a session", "sessions"),
}
LEGEND_COLUMNS = 3
Rows = Sequence[Mapping[str, Number]]  # Figures of each budget of a sweep.
BOUNDS = ("low", "high")
TOLERANCE = 1e-6  # Rounding of shares.


def _save(figure: Figure, path: pathlib.Path) -> None:
  for axes in figure.axes:
    axes.spines[["top", "right"]].set_visible(False)
  image = io.BytesIO()
  figure.savefig(image, dpi=120, format="png")
  files.write(path, image.getvalue())


def _plain(name: str) -> str:
  """Returns a name in which "$" does not begin a formula."""
  return name.replace("$", r"\$")


def _legend(figure: Figure, axes: Axes, title: str = "") -> None:
  """Draws the legend of some axes below the figure, where nothing is hidden."""
  lines, labels = axes.get_legend_handles_labels()
  figure.legend(
    lines, labels, title=title, ncols=min(len(labels), LEGEND_COLUMNS),
    loc="outside lower center",
  )  # fmt: skip


def _swept(rows: Rows, name: str) -> Float[np.ndarray, "p 3"]:
  """Returns an action's change along a sweep and its bounds, in percent."""
  keys = [f"change/{name}{end}" for end in ("", ":low", ":high")]
  return 100 * np.array([[row[key] for key in keys] for row in rows], float)


def _outcomes(rows: Rows) -> list[str]:
  """Returns the outcomes of a sweep, in order."""
  return [key[7:] for key in rows[0] if key.startswith("budget/")]


def budget_sweep(rows: Rows, path: pathlib.Path) -> None:
  """Plots the change of each action along a budget sweep, above the budgets."""
  names = _outcomes(rows)
  figure = Figure(figsize=(9, 6), layout="constrained")
  above, below = figure.subplots(
    2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1], "hspace": 0.15}
  )
  place = np.arange(len(rows))
  bottom = np.zeros(len(rows))
  for name in names:
    change, low, high = _swept(rows, name).T
    rate = 100 * np.array([row[f"rate/{name}"] for row in rows])
    # Matplotlib leaves out labels that begin with "_".
    label = f" {_plain(name)}, {rate.min():.3f} to {rate.max():.3f} %"
    (line,) = above.plot(place, change, marker="o", label=label)
    color = line.get_color()
    above.fill_between(place, low, high, alpha=0.15, color=color)
    share = 100 * np.array([row[f"budget/{name}"] for row in rows])
    below.bar(place, share, 0.6, bottom=bottom, color=color)
    bottom += share
  figure.suptitle("Candidates that users act on, as the budget moves")
  above.set_ylabel("change from the first budget, %")
  above.grid(axis="y", alpha=0.3)
  below.set_ylabel("budget, %")
  below.set_xlabel("budget, from one outcome to the next")
  below.set_xticks(place, [str(n + 1) for n in place])
  _legend(
    figure,
    above,
    "action and its rate among the candidates (band: 95 % interval over users)",
  )
  _save(figure, path)


def frontier(
  rows: Rows, steering: Mapping[str, Number], path: pathlib.Path
) -> None:
  """Plots each outcome of a sweep against the one before.

  Args:
    rows: of the sweep, one per budget.
    steering: has the working ranges.
    path: of the image.
  """
  pairs = [*itertools.pairwise(_outcomes(rows))]
  figure = Figure(figsize=(5 * max(len(pairs), 2), 5.5), layout="constrained")
  panels = figure.subplots(1, len(pairs), squeeze=False)[0]
  for axes, (here, there) in zip(panels, pairs, strict=True):
    own = [row for row in rows if _spent(row, here, there)]
    share = np.array([row[f"budget/{there}"] for row in own])
    (x, *xs), (y, *ys) = (_swept(own, name).T for name in (here, there))
    key = f"working_range/{here}/{there}"
    low, high = (steering[f"{key}:{end}"] for end in BOUNDS)
    inside = (share > low - TOLERANCE) & (share < high + TOLERANCE)
    errors = [np.abs(np.stack(ends) - mid) for ends, mid in ((xs, x), (ys, y))]
    axes.errorbar(
      x, y, yerr=errors[1], xerr=errors[0], color="0.6", elinewidth=0.5,
      label="95 % interval over users",
    )  # fmt: skip
    for which, style, label in (
      (inside, {"color": "tab:blue"}, "working range"),
      (~inside, {"mfc": "white", "color": "tab:blue"}, "other budgets"),
    ):
      axes.plot(x[which], y[which], "o", ls="", label=label, **style)
    axes.plot(
      x[:1], y[:1], "s", color="tab:orange", zorder=3,
      label="all of the budget on the x axis",
    )  # fmt: skip
    axes.set_title(_range(steering, here, there), fontsize="medium")
    axes.set_xlabel(f"{_plain(here)}, change from the first budget, %")
    axes.set_ylabel(f"{_plain(there)}, change from the first budget, %")
    axes.grid(alpha=0.3)
  figure.suptitle("What more of one outcome costs of another")
  _legend(figure, panels[0])
  _save(figure, path)


def _range(steering: Mapping[str, Number], here: str, there: str) -> str:
  """Returns the working range of a pair, in words."""
  key = f"working_range/{here}/{there}"
  low, high = (f"{100 * steering[f'{key}:{end}']:.0f}" for end in BOUNDS)
  effect = "no trade-off: both are level with their best"
  if steering[f"{key}:trades"]:
    effect = f"more {_plain(there)} costs {_plain(here)}"
  return f"working range: {low} to {high} % {_plain(there)}\n{effect}"


def _spent(row: Mapping[str, Number], here: str, there: str) -> bool:
  """Whether two outcomes have the whole budget."""
  return row[f"budget/{here}"] + row[f"budget/{there}"] > 1 - TOLERANCE


def recalls(
  models: Models, outcomes: Sequence[str], k: int, path: pathlib.Path
) -> None:
  """Plots recall@k of several models, overall and by outcome.

  Args:
    models: figures of each model by its name.
    outcomes: outcomes to show.
    k: length of a list.
    path: of the image.
  """
  figure = Figure(figsize=(9, 5), layout="constrained")
  axes = figure.subplots()
  groups = ["", *(f"/{name}" for name in outcomes)]
  width = 0.8 / len(models)
  for n, (name, own) in enumerate(models.items()):
    keys = [f"recall@{k}{group}" for group in groups]
    height, low, high = (
      np.array([own[f"{key}{end}"] for key in keys], float)
      for end in ("", ":low", ":high")
    )
    place = np.arange(len(groups)) + width * (n - (len(models) - 1) / 2)
    error = np.abs(np.stack([height - low, high - height]))
    axes.bar(place, height, width, yerr=error, capsize=2, label=name)
  axes.set_xticks(range(len(groups)), ["all targets", *map(_plain, outcomes)])
  axes.set_xlabel("outcome of the target")
  axes.set_ylabel(f"recall@{k}, fraction of targets found")
  axes.set_title(
    f"Targets found in a list of {k} items (95 % interval over users)"
  )
  axes.grid(axis="y", alpha=0.3)
  _legend(figure, axes)
  _save(figure, path)


def days(lines: Sequence[Mapping[str, Any]], path: pathlib.Path) -> None:
  """Plots the recall of each day's models and of popularity.

  A day on which no user could be measured is left out. A cross is a model that
  was not published.
  """
  measured = [line for line in lines if "recall" in line]
  if not measured:
    return
  figure = Figure(figsize=(9, 4), layout="constrained")
  axes = figure.subplots()
  place = np.arange(len(measured))
  series = (
    ("recall", "new model"),
    ("yesterday", "yesterday's model"),
    ("popularity", "popularity"),
  )
  for key, label in series:
    axes.plot(place, [one[key] for one in measured], marker="o", label=label)
  refused = [n for n, one in enumerate(measured) if not one["published"]]
  if refused:
    values = [measured[n]["recall"] for n in refused]
    axes.plot(refused, values, "kx", ms=10, label="not published")
  axes.set_xticks(place, [str(one["date"])[:10] for one in measured])
  axes.tick_params("x", rotation=45)
  axes.set_ylabel(f"recall@{measured[-1]['k']} on the newest hours")
  axes.grid(axis="y", alpha=0.3)
  _legend(figure, axes)
  _save(figure, path)


def training(
  rows: Sequence[Mapping[str, float | int]], path: pathlib.Path
) -> None:
  """Plots the training loss and the validation recall over the steps."""
  figure = Figure(figsize=(9, 4.5), layout="constrained")
  axes = figure.subplots()
  axes.set_xlabel("step")
  axes.grid(axis="y", alpha=0.3)
  curves = (
    ("loss", "training loss, nats", "tab:blue"),
    ("validation/recall@10", "validation recall@10", "tab:orange"),
  )
  drawn = []
  for name, label, color in curves:
    points = [(row["step"], row[name]) for row in rows if name in row]
    if points:
      own = axes.twinx() if drawn else axes
      own.plot(*zip(*points, strict=True), color=color, marker=".")
      own.set_ylabel(label, color=color)
      drawn.append(label.partition(",")[0])
  axes.set_title(" and ".join(drawn).capitalize() or "Nothing was logged")
  _save(figure, path)


def statistics(found: statistics_lib.LogStatistics, path: pathlib.Path) -> None:
  """Plots the actions of a log and its lengths, gaps and sessions."""
  figure = Figure(figsize=(12, 8), layout="constrained")
  first, *others = figure.subplots(2, 2).reshape(-1)
  counts = {
    _plain(key.partition("/")[2]): count
    for key, count in found.figures.items()
    if key.startswith("actions/")
  }
  bars = first.barh(list(counts), list(counts.values()))
  first.bar_label(bars, [f" {count:,}" for count in counts.values()])
  first.margins(x=0.2)
  first.invert_yaxis()
  first.set_xlabel("events with the action")
  first.set_title("Actions")
  for axes, (name, spread) in zip(others, found.spreads.items(), strict=True):
    _histogram(axes, name, spread.values, spread.counts)
  figure.suptitle("Actions, users and sessions of the log")
  _save(figure, path)


def _histogram(
  axes: Axes,
  name: str,
  values: Real[np.ndarray, "n"],
  counts: Real[np.ndarray, "n"],
) -> None:
  """Draws a histogram whose bins have equal widths on a log scale."""
  of, counted = SPREADS[name]
  values = np.maximum(values, 1)
  bins = np.geomspace(1, max(values.max(initial=1), 2), 40)
  axes.hist(values, bins=list(bins), weights=counts)
  axes.set_xscale("log")
  axes.set_xlabel(f"{of} (log scale)")
  axes.set_ylabel(f"number of {counted}")
  axes.set_title(f"{int(counts.sum()):,} {counted}")
