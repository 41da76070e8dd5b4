"""Published rates of TPU chips, and the slices that programs are compiled for.

The rates are assumptions of every roofline time. They are those of
https://cloud.google.com/tpu/docs/v5e, v5p and v6e. The link rates are those of
https://jax-ml.github.io/scaling-book/hardware/.
"""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Chip:
  """A TPU chip.

  Attributes:
    flops: bf16 operations per second.
    hbm_bytes: bytes of memory that the compiler may use.
    hbm_rate: bytes per second from and to this memory.
    link_rate: bytes per second of one link between chips, in one direction.
  """

  flops: float
  hbm_bytes: float
  hbm_rate: float
  link_rate: float


@dataclasses.dataclass(frozen=True)
class Slice:
  """Some chips in a torus or a grid.

  Attributes:
    chip: the kind of chip.
    topology: name of the topology for the compiler.
    accelerator: value of TPU_ACCELERATOR_TYPE. For a v5p, it counts cores, of
      which a chip has two.
    sides: chips along each axis.
    wraps: whether the last chip of an axis is linked to the first.
  """

  chip: Chip
  topology: str
  accelerator: str
  sides: tuple[int, ...]
  wraps: bool

  @property
  def chips(self) -> int:
    """Number of chips."""
    return math.prod(self.sides)

  def collective_rate(self, group: int) -> float:
    """Returns the bytes per second that a chip of a group receives.

    A group spans as few axes as it can. Along each axis, a chip receives on two
    links if the axis wraps. Without wrapping, the chip in a corner has one.
    """
    spanned, count = 0, 1
    for side in sorted(self.sides, reverse=True):
      if count < group:
        spanned, count = spanned + 1, count * side
    return max(spanned, 1) * (1 + self.wraps) * self.chip.link_rate


GIB = 1 << 30
V5E = Chip(197e12, 15.75 * GIB, 819e9, 45e9)
V5P = Chip(459e12, 95.74 * GIB, 2765e9, 90e9)
V6E = Chip(918e12, 31.25 * GIB, 1640e9, 90e9)
SLICES = {
  "v5e-8": Slice(V5E, "v5e:2x4", "v5litepod-8", (2, 4), False),
  "v5p-64": Slice(V5P, "v5p:4x4x4", "v5p-128", (4, 4, 4), True),
  "v6e-256": Slice(V6E, "v6e:16x16", "v6e-256", (16, 16), True),
}
# The chips of one host, which one process uses.
HOSTS = {
  "v5e-8": SLICES["v5e-8"],
  "v5p-4": Slice(V5P, "v5p:2x2x1", "v5p-8", (2, 2, 1), False),
  "v6e-8": Slice(V6E, "v6e:2x4", "v6e-8", (2, 4), False),
}
