"""The work that all programs do, at the sizes of MovieLens 1M.

Training histories are random and full, so no padding counts.
"""

import argparse
import dataclasses

import numpy as np

ITEMS, LENGTH, BATCH, BLOCKS, DROPOUT, RATE = 3706, 200, 128, 2, 0.2, 1e-3
LENGTHS = ("full", "movielens")  # Of the histories in an evaluation.


@dataclasses.dataclass(frozen=True)
class Unit:
  """One unit of training work.

  Attributes:
    width: width of the network and of item vectors.
    heads: attention heads.
    negatives: uniform negatives; 0 is the full softmax.
  """

  width: int
  heads: int
  negatives: int


UNITS = {
  "T1": Unit(width=50, heads=1, negatives=128),
  "T3": Unit(width=64, heads=2, negatives=0),
  "T4": Unit(width=128, heads=2, negatives=256),
}


def unit() -> Unit:
  """Returns the unit that --unit=NAME names."""
  parser = argparse.ArgumentParser()
  parser.add_argument("--unit", choices=UNITS, required=True)
  return UNITS[parser.parse_known_args()[0].unit]


def histories(rows: int = BATCH) -> np.ndarray:
  """Returns items [rows, LENGTH + 1] from 1; the last one is the target."""
  random = np.random.default_rng(0)
  return random.integers(1, ITEMS + 1, (rows, LENGTH + 1), np.int32)


def kept(rows: np.ndarray, lengths: str) -> np.ndarray:
  """Returns which events a user has: the target and the latest before it.

  Args:
    rows: from `histories`.
    lengths: "full" for all events. "movielens" for lengths like those of
      MovieLens 1M: at least 20, a median of 96, and all events for a quarter.
  """
  users, every = rows.shape
  number = np.full(users, every - 1)
  if lengths == "movielens":
    normal = np.random.default_rng(1).standard_normal(users)
    number = np.clip(96 * np.exp(1.1 * normal), 20, every - 1).astype(int)
  return np.arange(every) >= every - 1 - number[:, None]


def evaluation() -> tuple[np.ndarray, np.ndarray]:
  """Returns the histories that the flags name, and which events users have."""
  parser = argparse.ArgumentParser()
  parser.add_argument("--users", type=int, default=6040)
  parser.add_argument("--lengths", choices=LENGTHS, default=LENGTHS[0])
  options = parser.parse_args()
  rows = histories(options.users)
  return rows, kept(rows, options.lengths)
