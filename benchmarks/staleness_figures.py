"""Recall of the arms of benchmarks/staleness.py, with intervals; the plot."""

import functools
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from pinrec_jax import files, markdown

RESAMPLES = 1000
BOUNDS = (2.5, 97.5)
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
        random.multinomial(size, np.full(size, 1 / size), size=RESAMPLES),
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
  low, high = np.percentile(values[1:], BOUNDS)
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
  names = next(iter(found.values()))["recall"]
  rows = [
    [name]
    + [
      f"{mean:.4f} ({low:.4f} to {high:.4f})"
      for own in found.values()
      for mean, low, high in [own["recall"][name]]
    ]
    for name in names
  ]
  return markdown.table(["model", *(f"recall@{k}" for k in found)], rows)


def gains(found: Mapping[str, Any]) -> str:
  """Returns a Markdown table of the relative gains of pairs of arms."""
  pairs = next(iter(found.values()))["gain"]
  rows = [
    [pair]
    + [
      f"{100 * mean:+.1f} % ({100 * low:+.1f} to {100 * high:+.1f})"
      for own in found.values()
      for mean, low, high in [own["gain"][pair]]
    ]
    for pair in pairs
  ]
  return markdown.table(["pair", *(f"recall@{k}" for k in found)], rows)


def plot(
  by_day: Mapping[str, Mapping[str, Any]],
  k: str,
  names: Sequence[str],
  path: pathlib.Path,
) -> None:
  """Plots the recall of arms by day.

  Args:
    by_day: figures by day and length of list.
    k: length of list.
    names: arms to show.
    path: of the image.
  """
  figure = Figure(figsize=(9, 5), layout="constrained")
  axes = figure.subplots()
  place = np.arange(len(by_day))
  for name in names:
    rows = [own[k]["recall"][name] for own in by_day.values()]
    mean, low, high = np.array(rows).T
    (line,) = axes.plot(place, mean, marker="o", label=name)
    axes.fill_between(place, low, high, alpha=0.1, color=line.get_color())
  axes.set_xticks(place, [f"{day}\n{n}" for n, day in enumerate(by_day)])
  axes.set_xlabel("test day, and days since the first training")
  axes.set_ylabel(f"recall@{k}, fraction of the day's targets found")
  axes.set_title("Models by age (band: 95 % interval over users and seeds)")
  axes.grid(axis="y", alpha=0.3)
  axes.spines[["top", "right"]].set_visible(False)
  figure.legend(ncols=3, loc="outside lower center")
  image = io.BytesIO()
  figure.savefig(image, dpi=120, format="png")
  files.write(path, image.getvalue())
