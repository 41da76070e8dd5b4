"""The few types that annotations all over the package share."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import numpy as np

Number: TypeAlias = int | float  # run-time checks take no int for a float
AnyArray: TypeAlias = jax.Array | np.ndarray  # on a device, or on the host
Params: TypeAlias = Mapping[str, Any]  # a tree of arrays, named as Flax does
