"""What a compiled program computes, moves and communicates, per device.

XLA's own cost analysis counts the body of a loop once. Here, the text of the
optimized program is read, and each loop body counts once per iteration. Three
costs are counted:

  operations: of dots and convolutions, wherever they are fused, and of the
    attention kernel of TPUs.
  bytes: that instructions read from and write to the device's memory. A fusion
    counts its operands and results. A slice, gather, scatter or update in place
    counts the part that it touches. Arrays in on-chip memory, which a layout
    marks with S(1), do not count.
  collectives: bytes of their operands and results, and their group sizes.
"""

import collections
import functools
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import hlo_text
from hlo_text import Instruction

COLLECTIVES = (
  "all-reduce",
  "all-gather",
  "reduce-scatter",
  "all-to-all",
  "ragged-all-to-all",
  "collective-permute",
)
# Instructions that move no bytes themselves.
FREE = {
  "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while",
  "conditional", "call", "after-all", "partition-id", "replica-id", "iota",
  "opt-barrier", "async-start", "async-update", "domain",
}  # fmt: skip
# Products of JAX's attention kernels for TPUs, and the side of their blocks.
KERNELS = {"splash_mha_fwd": 2, "splash_mha_dq": 3, "splash_mha_dkv": 4}
BLOCK = 256
LOOP = r"condition=%?([\w.-]+), body=%?([\w.-]+)"
CALLED = re.compile(
  r"(?:calls|body|condition|to_apply|true_computation|false_computation)="
  r"%?([\w.-]+)|branch_computations=\{([^}]*)\}"
)


class Collective(NamedTuple):
  """A collective operation.

  Attributes:
    kind: one of `COLLECTIVES`.
    shape: text of its result's shape.
    group: devices that take part together.
    moved: bytes that a device receives in one execution, over a ring.
    times: number of executions.
    source: name of the operation in the program's source.
  """

  kind: str
  shape: str
  group: int
  moved: float
  times: int
  source: str


class Costs(NamedTuple):
  """The costs of a program on one device.

  Attributes:
    operations: floating-point operations of dots and convolutions.
    bytes: bytes read and written in device memory.
    cycles: the compiler's estimate of the cycles of all instructions.
    collectives: all collective operations.
    largest: (bytes, executions, shape, source) of the arrays that take most.
    targets: names of custom calls.
  """

  operations: float
  bytes: float
  cycles: float
  collectives: list[Collective]
  largest: list[tuple[float, int, str, str]]
  targets: set[str]


class Program:
  """A parsed program whose costs can be counted."""

  def __init__(self, text: str):
    self.computations, self.entry = hlo_text.parse(text)
    self.shapes = {
      name: {line.name: line.shape for line in lines}
      for name, lines in self.computations.items()
    }

  def costs(self) -> Costs:
    """Counts the costs of all instructions, loops included."""
    operations = moved = cycles = 0.0
    collectives: dict[Any, Collective] = {}
    targets: set[str] = set()
    largest: dict[tuple, float] = collections.defaultdict(float)
    for name, line, times, fused in self.executed(self.entry):
      estimate = re.search(r'"estimated_cycles":"(\d+)"', line.rest)
      cycles += times * int(estimate[1]) if estimate and not fused else 0
      if line.opcode in ("dot", "convolution"):
        operations += times * self._operations(name, line)
      elif line.opcode == "custom-call":
        targets.add(hlo_text.attribute(line, "custom_call_target"))
        operations += times * self._kernel(name, line)
      if collective := self._collective(name, line, times):
        # A collective that runs beside other work is in several fusions.
        chain = re.search(r'chain_id="(\d+)"', line.rest)
        collectives[chain[0] if chain else len(collectives)] = collective
      if not fused and line.opcode not in FREE and "-done" not in line.opcode:
        here = self._bytes(name, line)
        moved += times * here
        largest[times, line.opcode, line.shape, hlo_text.source(line)] += (
          times * here
        )
    most = [
      (total, times, f"{opcode} {shape}", where)
      for (times, opcode, shape, where), total in sorted(
        largest.items(), key=lambda pair: -pair[1]
      )[:12]
    ]
    every = list(collectives.values())
    return Costs(operations, moved, cycles, every, most, targets)

  def executed(
    self, name: str, times: int = 1, fused: bool = False
  ) -> Iterator[tuple[str, Instruction, int, bool]]:
    """Yields each instruction with its computation and its executions."""
    for line in self.computations[name]:
      yield name, line, times, fused
      if line.opcode in ("reduce", "scatter", "sort", "map", "reduce-window"):
        continue  # Their computations are of single numbers.
      count = self._trips(line) if line.opcode == "while" else 1
      inner = fused or line.opcode == "fusion"
      for called in self._called(line):
        yield from self.executed(called, times * count, inner)

  def _called(self, line: Instruction) -> list[str]:
    if line.opcode.startswith(("all-reduce", "reduce-scatter")):
      return []
    found = []
    for one, several in CALLED.findall(line.rest):
      found += [one] if one else re.findall(r"%?([\w.-]+)", several)
    return [name for name in found if name in self.computations]

  def _trips(self, line: Instruction) -> int:
    """Returns the iterations of a loop."""
    if known := re.search(r'"known_trip_count":\{"n":"(\d+)"\}', line.rest):
      return int(known[1])
    parts = re.search(LOOP, line.rest)
    assert parts is not None  # Every loop has a condition and a body.
    condition, body = (
      {inner.name: inner for inner in self.computations[name]}
      for name in parts.groups()
    )
    limits = [n for one in condition.values() if (n := hlo_text.constant(one))]
    return -(-max(limits, default=1) // hlo_text.step(condition, body))

  def _operations(self, name: str, line: Instruction) -> float:
    shapes = self.shapes[name]
    left, right = (
      hlo_text.axes(shapes[operand]) for operand in line.operands[:2]
    )
    if line.opcode == "dot":
      over = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", line.rest)
      inner = [left[int(n)] for n in over[1].split(",") if n] if over else []
      return 2.0 * math.prod(hlo_text.axes(line.shape)) * math.prod(inner)
    return 2.0 * hlo_text.convolution(
      line.rest, left, right, hlo_text.axes(line.shape)
    )

  def _kernel(self, name: str, line: Instruction) -> float:
    """Returns the operations of a kernel of JAX's attention for TPUs.

    Its text is not readable, so they follow from its operands [b h l k].
    """
    source = hlo_text.source(line) + line.name
    factor = next((n for key, n in KERNELS.items() if key in source), 0)
    shapes = [hlo_text.axes(self.shapes[name][one]) for one in line.operands]
    shape = next((one for one in shapes if len(one) == 4), None)
    if not factor or shape is None:
      return 0.0
    blocks = max(1, shape[2] // BLOCK)
    read = (blocks + 1) / (2 * blocks)  # Of all blocks, for a causal mask.
    return 2.0 * factor * math.prod(shape) * shape[2] * read

  def _collective(
    self, name: str, line: Instruction, times: int
  ) -> Collective | None:
    kind = line.opcode.removesuffix("-start")
    if kind not in COLLECTIVES:
      return None
    given = sum(
      hlo_text.size(self.shapes[name][operand]) for operand in line.operands
    )
    result = line.shape
    if kind == "all-reduce" and name.startswith("all-reduce-scatter"):
      kind = "reduce-scatter"  # A fusion, with a slice of the result.
    group, most = hlo_text.group_size(line.rest), max(given, 1)
    if kind == "all-gather":
      moved = given * (group - 1.0)
    elif kind == "all-reduce":
      moved = 2.0 * given * (group - 1) / group
    elif kind == "collective-permute":
      moved = float(given)
    else:
      moved = most * (group - 1.0) / group
    return Collective(kind, result, group, moved, times, hlo_text.source(line))

  def _bytes(self, name: str, line: Instruction) -> float:
    shapes = self.shapes[name]
    if line.opcode == "fusion":
      called = self._called(line)[0]
      read = [
        self._read(called, n, shapes[operand])
        for n, operand in enumerate(line.operands)
      ]
      return sum(read) + self._written(called, line.shape)
    if line.opcode in ("copy-start", "slice-start"):
      # The result has the source, too: last in a copy, first in a slice.
      target = hlo_text.arrays(line.shape)[line.opcode == "slice-start" :][:1]
      if line.opcode == "slice-start":
        return float(sum(size for size, _ in target))
      return hlo_text.in_hbm(shapes[line.operands[0]]) + sum(
        n * h for n, h in target
      )
    return hlo_text.touched(
      line, [shapes[operand] for operand in line.operands]
    )

  def _read(self, called: str, place: int, shape: str) -> float:
    """Returns the bytes that a fusion reads of an operand."""
    if not hlo_text.in_hbm(shape):
      return 0.0
    fraction = self._fraction(called, place)
    return hlo_text.in_hbm(shape) * min(1.0, fraction)

  @functools.cache  # noqa: B019 - a program lives as long as its process.
  def _fraction(self, called: str, place: int) -> float:
    """Returns the fraction of its parameter that a computation reads."""
    lines = self.computations[called]
    own = next(
      (
        line
        for line in lines
        if line.opcode == "parameter" and line.rest.startswith(f"{place})")
      ),
      None,
    )
    if own is None:
      return 1.0
    whole, total = max(hlo_text.size(own.shape), 1), 0.0
    names = {own.name}
    for line in lines:
      if not names & set(line.operands):
        continue
      if line.opcode in ("bitcast", "copy", "reshape") and not line.root:
        names.add(line.name)
      elif line.opcode in ("dynamic-slice", "slice", "gather"):
        total += hlo_text.size(line.shape) / whole
      elif line.opcode in ("dynamic-update-slice", "scatter"):
        total += 0.0 if line.operands[0] in names else 1.0
      elif line.opcode == "fusion":
        inner = self._called(line)[0]
        for n, operand in enumerate(line.operands):
          total += self._fraction(inner, n) if operand in names else 0.0
      else:
        return 1.0
    return total

  def _written(self, called: str, shape: str) -> float:
    """Returns the bytes that a fusion writes."""
    lines = {line.name: line for line in self.computations[called]}
    root = next(line for line in lines.values() if line.root)
    results = [root]
    if root.opcode == "tuple":
      results = [lines[operand] for operand in root.operands]
    total = 0.0
    for (whole, held), line in zip(
      hlo_text.arrays(shape), results, strict=False
    ):
      while line.opcode in ("bitcast", "copy") and line.operands:
        line = lines[line.operands[0]]
      if held and line.opcode in ("dynamic-update-slice", "scatter"):
        update = lines[line.operands[-1 if line.opcode == "scatter" else 1]]
        total += hlo_text.size(update.shape)
      elif held and line.opcode == "fusion":
        total += min(whole, self._written(self._called(line)[0], line.shape))
      else:
        total += whole * held
    return total
