"""Recall of the arms of benchmarks/staleness.py, with intervals; the plot."""

import functools
import io
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from pinrec_jax import files, markdown
from pinrec_jax.evals import bootstrap

Hits = Int[np.ndarray, "s u"]  # Targets found, by seed and user.


@functools.lru_cache(maxsize=1)
def resampled(
  seeds: int, users: int
) -> tuple[Float[np.ndarray, "r s"], Float[np.ndarray, "r u"]]:
  """Returns how often each resample holds each seed and each user.

  The first row holds each of them once. All figures share the resamples.
  """
  random = np.random.default_rng(users)
  rows = [
    np.concatenate(
      [
        np.ones((1, size)),
        random.multinomial(
          size, np.full(size, 1 / size), size=bootstrap.RESAMPLES
        ),
      ]
    )
    for size in (seeds, users)
  ]
  return rows[0], rows[1]


def recalls(
  hits: Hits, targets: Int[np.ndarray, "u"]
) -> Float[np.ndarray, "r"]:
  """Returns the recall of every resample, the first of which is the data.

  Args:
    hits: targets that were found, by seed and user.
    targets: targets of each user.
  """
  seeds, users = resampled(*hits.shape)
  found = np.einsum("rs,sr->r", seeds, hits @ users.T) / seeds.sum(1)
  return found / (users @ targets)


def interval(values: Float[np.ndarray, "r"]) -> list[float]:
  """Returns the value of the data and its 95 % interval."""
  low, high = np.percentile(values[1:], bootstrap.PERCENTILES)
  return [float(values[0]), float(low), float(high)]


def compared(
  one: Hits, other: Hits, targets: Int[np.ndarray, "u"]
) -> list[float]:
  """Returns the relative gain of one arm over another, with its interval."""
  return interval(recalls(one, targets) / recalls(other, targets) - 1)


def of_arms(
  hits: Mapping[str, Hits],
  targets: Int[np.ndarray, "u"],
  pairs: Sequence[tuple[str, str]],
) -> dict[str, Any]:
  """Returns recall of every arm, and the relative gains of pairs of arms."""
  return {
    "recall": {
      name: interval(recalls(own, targets)) for name, own in hits.items()
    },
    "by_seed": {
      name: (own.sum(1) / targets.sum()).tolist() for name, own in hits.items()
    },
    "gain": {
      f"{one} / {other}": compared(hits[one], hits[other], targets)
      for one, other in pairs
    },
  }


def table(found: Mapping[str, Any]) -> str:
  """Returns a Markdown table of the arms' recall over all days.

  Args:
    found: figures by length of list, as from `of_arms`.
  """
  return _table(
    found,
    "model",
    "recall",
    lambda m, low, up: f"{m:.4f} ({low:.4f} to {up:.4f})",
  )


def gains(found: Mapping[str, Any]) -> str:
  """Returns a Markdown table of the relative gains of pairs of arms."""
  return _table(
    found,
    "pair",
    "gain",
    lambda m, low, up: (
      f"{100 * m:+.1f} % ({100 * low:+.1f} to {100 * up:+.1f})"
    ),
  )


def _table(
  found: Mapping[str, Any],
  head: str,
  kind: str,
  shown: Callable[[float, float, float], str],
) -> str:
  """Returns a Markdown table of one kind of figures, by length of list."""
  rows = [
    [name, *(shown(*own[kind][name]) for own in found.values())]
    for name in next(iter(found.values()))[kind]
  ]
  return markdown.table([head, *(f"recall@{k}" for k in found)], rows)


def plot(
  by_day: Mapping[str, Mapping[str, Any]],
  pairs: Sequence[tuple[str, str]],
  path: pathlib.Path,
) -> None:
  """Plots the gain of some arms over another one, by day.

  Args:
    by_day: figures by day and length of list.
    pairs: the arms, and the one that they are compared with.
    path: of the image.
  """
  cutoffs = [*next(iter(by_day.values()))]
  figure = Figure(figsize=(10, 4.5), layout="constrained")
  panels = figure.subplots(1, len(cutoffs), squeeze=False)[0]
  for axes, k in zip(panels, cutoffs, strict=True):
    axes.axhline(0, color="0.4", lw=1)
    for n, (one, other) in enumerate(pairs):
      rows = [day[k]["gain"][f"{one} / {other}"] for day in by_day.values()]
      mean, low, high = 100 * np.array(rows).T
      place = np.arange(len(rows)) + 0.08 * (n - (len(pairs) - 1) / 2)
      axes.errorbar(
        place, mean, yerr=[mean - low, high - mean],
        marker="o", ms=4, capsize=2, lw=1, label=one,
      )  # fmt: skip
    labels = [f"{day[5:]}\n{n}" for n, day in enumerate(by_day)]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlabel("test day, and days since the first training")
    axes.set_ylabel(f"recall@{k}, relative to {pairs[0][1]}, %")
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
  figure.suptitle(
    "Models by age (bars: 95 % interval over users and seeds, paired)"
  )
  lines, names = panels[0].get_legend_handles_labels()
  figure.legend(lines, names, ncols=len(names), loc="outside lower center")
  image = io.BytesIO()
  figure.savefig(image, dpi=120, format="png")
  files.write(path, image.getvalue())
