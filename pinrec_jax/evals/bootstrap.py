"""95 % confidence intervals by bootstrap over users."""

import numpy as np
from jaxtyping import Float, Real

RESAMPLES = 1000
PERCENTILES = (2.5, 97.5)
NUMBERS_AT_ONCE = 1 << 22  # Of a block of resamples, to bound memory.


def intervals(
  found: Real[np.ndarray, "u n"], total: Real[np.ndarray, "u n"]
) -> Float[np.ndarray, "2 n"]:
  """Returns 95 % intervals of sum(found) / sum(total) over users.

  Every resample draws the same number of users, with replacement. All figures
  share the resamples, which depend on the number of users alone. So figures of
  the same users can be compared.

  Args:
    found: count of each user, for each figure.
    total: largest count that is possible, for each user and figure.

  Returns:
    The lower and the upper bounds; NaN for a figure whose total is 0.
  """
  figures = found.shape[1]
  drawn = sums(np.concatenate([found, total], 1).astype(np.float64))
  # A resample may hold no user with a target. It counts as 0.
  ratios = drawn[:, :figures] / np.maximum(drawn[:, figures:], 1e-12)
  bounds = np.percentile(ratios, PERCENTILES, axis=0)
  return np.where(total.sum(0) > 0, bounds, np.nan)


def sums(columns: Float[np.ndarray, "u n"]) -> Float[np.ndarray, "r n"]:
  """Returns the sums of columns over the users of each resample.

  The resamples depend on the number of users alone.
  """
  users = len(columns)
  random = np.random.default_rng(users)
  block = max(1, NUMBERS_AT_ONCE // max(users, 1))
  drawn = []
  for first in range(0, RESAMPLES, block):
    weights = random.multinomial(
      users, np.full(users, 1 / users), size=min(block, RESAMPLES - first)
    )
    drawn.append(weights @ columns)
  return np.concatenate(drawn)
