"""How the candidates are split over outcomes and steps."""

import math

import numpy as np
from jaxtyping import Float

from pinrec_jax.data import schema

UNSPECIFIED = "unspecified"  # the outcome of a budget that aims at none


def parse(text: str, vocabulary: schema.Vocabulary) -> dict[str, float]:
  """Reads a budget such as "save:0.7,click:0.2,unspecified:0.1".

  Raises:
    ValueError: on an unknown or repeated outcome, a share that is negative or
      no number, or shares that do not sum to 1.
  """
  budget: dict[str, float] = {}
  for part in text.split(","):
    name, _, share = part.strip().partition(":")
    index(name, vocabulary)
    if name in budget:
      raise ValueError(f"budget {text!r} names {name!r} twice; add its shares")
    try:
      budget[name] = float(share)
    except ValueError:
      raise ValueError(
        f"budget share {share!r} of {name!r} is no number; write {name}:0.5"
      ) from None
    if not 0 <= budget[name] <= 1:
      raise ValueError(
        f"budget share {share} of {name!r} is not between 0 and 1"
      )
  total = math.fsum(budget.values())
  if abs(total - 1) > 1e-6:
    raise ValueError(
      f"budget {text!r} sums to {total:g}, not 1; scale its shares"
    )
  return {name: share for name, share in budget.items() if share > 0}


def index(name: str, vocabulary: schema.Vocabulary) -> int:
  """Returns an outcome's index, or -1 for "unspecified".

  Raises:
    ValueError: on an unknown outcome.
  """
  return -1 if name == UNSPECIFIED else vocabulary.outcome(name)


def from_shares(
  shares: Float[np.ndarray, "o"], vocabulary: schema.Vocabulary
) -> dict[str, float]:
  """Returns a budget that spends on each outcome its share of the log."""
  total = float(shares.sum())
  named = zip(vocabulary.outcome_names, shares, strict=True)
  return {name: float(s) / total for name, s in named if s > 0}


def over_steps(
  shares: Float[np.ndarray, "o"], steps: int, decay: float
) -> Float[np.ndarray, "t o"]:
  """Splits each outcome's share over its steps.

  Args:
    shares: sum to 1.
    steps: vectors generated one after the other.
    decay: a step's budget relative to the one before.
  """
  weight = decay ** np.arange(steps)
  return np.outer(weight / weight.sum(), shares).astype(np.float32)
