"""Budgets: shares of the candidates for each outcome."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from pinrec_jax.data import schema

UNSPECIFIED = "unspecified"  # The outcome of candidates without a condition.
TOLERANCE = 1e-6  # By which the sum of the shares may differ from 1.

Budget = tuple[float, ...]  # One share per outcome, then the unspecified one.


def parse(
  budget: str | Mapping[str, float], vocabulary: schema.Vocabulary
) -> Budget:
  """Returns a budget such as "save:0.7,click:0.3" or {"save": 1.0}.

  Raises:
    ValueError: on an unknown or repeated outcome; on a share outside 0 to 1; on
      shares with a sum other than 1.
  """
  names = (*vocabulary.outcome_names, UNSPECIFIED)
  shares = dict.fromkeys(names, 0.0)
  found = _pairs(budget) if isinstance(budget, str) else [*budget.items()]
  for name, _ in found:
    if name not in shares:
      vocabulary.outcome(name)  # Raises an error that lists all outcomes.
  require_once([name for name, _ in found], f"budget {budget!r}")
  shares |= {name: _share(name, share) for name, share in found}
  total = math.fsum(shares.values())
  if not abs(total - 1) <= TOLERANCE:
    raise ValueError(
      f"budget {budget!r} sums to {total:g}, not 1; scale its shares"
    )
  return tuple(shares.values())


def require_once(names: Sequence[str], budget: str) -> None:
  """Raises ValueError if a name is there twice; `budget` is for the error."""
  seen: set[str] = set()
  for name in names:
    if name in seen:
      raise ValueError(f"{budget} names {name!r} twice; add its shares")
    seen.add(name)


def _pairs(text: str) -> list[tuple[str, str]]:
  """Splits "save:0.7,click:0.3" into names and shares."""
  pairs = [part.strip().rpartition(":") for part in text.split(",")]
  return [(name or share, share if name else "") for name, _, share in pairs]


def _share(name: str, share: object) -> float:
  """Returns a share as a number."""
  try:
    value = float(share)  # pyright: ignore[reportArgumentType]
  except (TypeError, ValueError):
    raise ValueError(
      f"the budget share {share!r} of {name!r} is not a number; write "
      f"{name}:0.5"
    ) from None
  if not 0 <= value <= 1:
    raise ValueError(
      f"the budget share {share} of {name!r} is not between 0 and 1"
    )
  return value


def from_fractions(fractions: Float[np.ndarray, "o"]) -> Budget:
  """Returns a budget that gives each outcome its fraction of the log."""
  total = float(fractions.sum())
  return (*(float(fraction) / total for fraction in fractions), 0.0)


def unspecified(vocabulary: schema.Vocabulary) -> Budget:
  """Returns a budget without any outcome."""
  return (*[0.0] * vocabulary.outcomes, 1.0)


def as_json(budget: Budget, vocabulary: schema.Vocabulary) -> dict[str, float]:
  """Returns the shares above 0 by name."""
  names = (*vocabulary.outcome_names, UNSPECIFIED)
  return {n: share for n, share in zip(names, budget, strict=True) if share}
