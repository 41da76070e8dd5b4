"""95 % intervals by bootstrap over users."""

import functools

import numpy as np
from jaxtyping import Float, Int, Real

RESAMPLES = 1000
LEVEL = 95  # Per cent.
AT_ONCE = 50  # Resamples, to bound memory.


def interval(
  found: Real[np.ndarray, "u"], total: Real[np.ndarray, "u"]
) -> tuple[float, float]:
  """Returns a 95 % interval of sum(found) / sum(total) over users.

  Every resample draws as many users as there are, with replacement. The
  resamples are the same for every figure of the same users, so that figures can
  be compared.

  Args:
    found: what was found for each user.
    total: what there was to be found for each user.

  Returns:
    The bounds; NaN if there was nothing to be found.
  """
  if not total.sum():
    return float("nan"), float("nan")
  both = np.stack([found, total], 1).astype(float)
  ratios = []
  for first in range(0, RESAMPLES, AT_ONCE):
    drawn = _weights(len(total), first) @ both
    ratios.append(drawn[:, 0] / np.maximum(drawn[:, 1], 1e-12))
  low, high = np.percentile(
    np.concatenate(ratios), [(100 - LEVEL) / 2, (100 + LEVEL) / 2]
  )
  return float(low), float(high)


@functools.lru_cache(maxsize=RESAMPLES // AT_ONCE)
def _weights(users: int, first: int) -> Float[np.ndarray, "r u"]:
  """Returns how often each user is drawn in some resamples."""
  random = np.random.default_rng([users, first])
  weights: Int[np.ndarray, "r u"] = random.multinomial(
    users, np.full(users, 1 / users), size=AT_ONCE
  )
  return weights.astype(np.float32)
