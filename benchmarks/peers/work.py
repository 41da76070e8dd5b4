"""The units of training work that all programs do: MovieLens 1M's sizes.

Histories are made up and all of them full, so that no padding counts.
"""

import argparse
import dataclasses

import numpy as np

ITEMS, LENGTH, BATCH, BLOCKS, DROPOUT, RATE = 3706, 200, 128, 2, 0.2, 1e-3
LENGTHS = ("full", "movielens")  # of histories that are evaluated


@dataclasses.dataclass(frozen=True)
class Unit:
  """What of the work differs from unit to unit."""

  width: int
  heads: int
  negatives: int  # uniform, of the catalog; 0: the full softmax


UNITS = {
  "T1": Unit(width=50, heads=1, negatives=128),
  "T3": Unit(width=64, heads=2, negatives=0),
  "T4": Unit(width=128, heads=2, negatives=256),
}


def unit() -> Unit:
  """Returns the unit that --unit=NAME asks for."""
  parser = argparse.ArgumentParser()
  parser.add_argument("--unit", choices=UNITS, required=True)
  return UNITS[parser.parse_known_args()[0].unit]


def histories(rows: int = BATCH) -> np.ndarray:
  """Returns items [rows, LENGTH + 1], from 1; inputs and their next items."""
  random = np.random.default_rng(0)
  return random.integers(1, ITEMS + 1, (rows, LENGTH + 1), np.int32)


def kept(rows: np.ndarray, lengths: str) -> np.ndarray:
  """Returns which events of histories are there: the latest, and the target.

  Args:
    rows: from `histories`.
    lengths: "full" for all, or "movielens" for about as many as users of
      MovieLens 1M rated: 20 or more, 96 at the median, a quarter all of them.
  """
  users, every = rows.shape
  number = np.full(users, every - 1)
  if lengths == "movielens":
    spread = np.random.default_rng(1).standard_normal(users)
    number = np.clip(96 * np.exp(1.1 * spread), 20, every - 1).astype(int)
  return np.arange(every) >= every - 1 - number[:, None]


def evaluation() -> tuple[np.ndarray, np.ndarray]:
  """Returns the histories that the flags ask for, and what of them is there."""
  parser = argparse.ArgumentParser()
  parser.add_argument("--users", type=int, default=6040)
  parser.add_argument("--lengths", choices=LENGTHS, default=LENGTHS[0])
  options = parser.parse_args()
  rows = histories(options.users)
  return rows, kept(rows, options.lengths)
