"""Types that annotations share across the package."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
from jaxtyping import Real

Number: TypeAlias = int | float  # Run-time checks reject an int for a float.
AnyArray: TypeAlias = jax.Array | np.ndarray  # On a device, or on the host.
Size: TypeAlias = Any  # An int, or the symbolic size of an exported program.
Params: TypeAlias = Mapping[str, Any]  # A tree of arrays with Flax's names.


class UserSums(NamedTuple):
  """A figure as the ratio of two sums over users.

  Attributes:
    found: numerator of each user, such as the number of targets found.
    total: denominator of each user, such as the number of targets; 0 for a user
      who does not count.
  """

  found: Real[np.ndarray, "b"]
  total: Real[np.ndarray, "b"]

  @classmethod
  def of_mean(cls, values: Real[np.ndarray, "b"]) -> "UserSums":
    """Returns the sums of a mean over users; NaN leaves a user out."""
    return cls(np.nan_to_num(values), ~np.isnan(values))

  def ratio(self) -> float:
    """Returns the figure; NaN if no user counts."""
    total = self.total.sum()
    return float(self.found.sum() / total) if total else float("nan")
