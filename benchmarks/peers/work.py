"""The units of training work that all programs do: MovieLens 1M's sizes.

Histories are made up and all of them full, so that no padding counts.
"""

import argparse
import dataclasses

import numpy as np

ITEMS, LENGTH, BATCH, BLOCKS, DROPOUT, RATE = 3706, 200, 128, 2, 0.2, 1e-3


@dataclasses.dataclass(frozen=True)
class Unit:
  """What of the work differs from unit to unit."""

  width: int
  heads: int
  negatives: int  # uniform, of the catalogue; 0: the full softmax


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
