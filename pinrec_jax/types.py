"""Types that annotations share across the package."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import numpy as np

Number: TypeAlias = int | float  # Run-time checks reject an int for a float.
AnyArray: TypeAlias = jax.Array | np.ndarray  # On a device, or on the host.
Size: TypeAlias = Any  # An int, or the symbolic size of an exported program.
Params: TypeAlias = Mapping[str, Any]  # A tree of arrays with Flax's names.
