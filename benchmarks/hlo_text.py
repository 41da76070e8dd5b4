"""The text of a compiled program, as instructions with shapes."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

ARRAY = re.compile(r"([a-z]+\d*\w*)\[([\d,]*)\](?:\{([^}]*)\})?")
LINE = re.compile(r"^\s*(ROOT )?%?([\w.-]+) = (.*?) ([a-z][\w-]*)\((.*)$")
HEAD = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")


class Instruction(NamedTuple):
  """One line of a program.

  Attributes:
    name: unique in its computation.
    shape: text of its shape.
    opcode: such as "fusion".
    operands: names of its operands.
    rest: text of its operands and attributes.
    root: whether it is the result of its computation.
  """

  name: str
  shape: str
  opcode: str
  operands: tuple[str, ...]
  rest: str
  root: bool


def arrays(shape: str) -> list[tuple[int, bool]]:
  """Returns the bytes of each array of a shape, and whether it is in HBM."""
  found = []
  for kind, axes, layout in ARRAY.findall(shape):
    width = re.match(r"[a-z]+(\d+)", kind)
    if not width and kind != "pred":
      continue  # A token.
    numbers = math.prod(int(n) for n in axes.split(",") if n)
    size = numbers * (int(width[1]) if width else 8) // 8
    found.append((size, not re.search(r"S\([1-9]\)", layout)))
  return found


def size(shape: str) -> int:
  """Returns the bytes of all arrays of a shape."""
  return sum(n for n, _ in arrays(shape))


def in_hbm(shape: str) -> int:
  """Returns the bytes of the arrays of a shape that are in device memory."""
  return sum(n for n, held in arrays(shape) if held)


def axes(shape: str) -> list[int]:
  """Returns the axes of the first array of a shape."""
  found = ARRAY.search(shape)
  return [int(n) for n in found[2].split(",") if n] if found else []


def parse(program: str) -> tuple[dict[str, list[Instruction]], str]:
  """Returns the instructions of every computation, and the entry's name."""
  found: dict[str, list[Instruction]] = {}
  name = entry = ""
  for line in program.splitlines():
    if head := HEAD.match(line):
      name = head[2]
      entry = name if head[1] else entry
      found[name] = []
    elif (parts := LINE.match(line)) and name:
      root, own, shape, opcode, rest = parts.groups()
      operands = tuple(re.findall(r"%([\w.-]+)", _inside(rest)))
      found[name].append(
        Instruction(own, shape, opcode, operands, rest, bool(root))
      )
  return found, entry


def _inside(rest: str) -> str:
  """Returns the text before the parenthesis that closes the operands."""
  depth = 1
  for place, letter in enumerate(rest):
    depth += (letter == "(") - (letter == ")")
    if not depth:
      return rest[:place]
  return rest


def convolution(
  rest: str, left: Sequence[int], right: Sequence[int], result: Sequence[int]
) -> float:
  """Returns the multiplications of a convolution.

  The TPU compiler writes matrix products as convolutions. A batch of products
  becomes a spatial axis whose padding and dilation leave one valid place.
  """
  labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", rest)
  assert labels is not None  # Every convolution has them.
  one, two, out = labels.groups()
  groups = re.search(r"batch_group_count=(\d+)", rest)
  count = result[out.index("f")] * right[two.index("i")] * left[one.index("b")]
  count /= int(groups[1]) if groups else 1
  window = _window(rest)
  for place, axis in enumerate(sorted(n for n in out if n.isdigit())):
    count *= valid_places(
      left[one.index(axis)],
      right[two.index(axis)],
      result[out.index(axis)],
      {name: values[place] for name, values in window.items()},
    )
  return float(count)


def _window(rest: str) -> Mapping[str, list[str]]:
  found = re.search(r"window=\{([^}]*)\}", rest)
  pairs = (part.split("=") for part in found[1].split()) if found else ()
  return {name: values.split("x") for name, values in pairs}


def valid_places(
  given: int, kernel: int, result: int, window: Mapping[str, str]
) -> int:
  """Returns the pairs of result and kernel places that read an input."""
  stride = int(window.get("stride", 1))
  low = int(window.get("pad", "0_0").split("_")[0])
  spread = int(window.get("lhs_dilate", 1))
  reach = int(window.get("rhs_dilate", 1))
  place = np.arange(result)[:, None] * stride - low
  place = place + np.arange(kernel) * reach
  valid = (place >= 0) & (place % spread == 0) & (place // spread < given)
  return int(valid.sum())


def constant(line: Instruction | None) -> int:
  """Returns the value of an integer constant; 0 for all else."""
  if line is None or line.opcode != "constant":
    return 0
  found = re.match(r"(\d+)\)", line.rest)
  return int(found[1]) if found else 0


def step(
  condition: Mapping[str, Instruction], body: Mapping[str, Instruction]
) -> int:
  """Returns how far a loop counts per iteration; loops may be unrolled."""
  index = [
    re.search(r"index=(\d+)", one.rest)
    for root in condition.values()
    if root.root
    for name in root.operands
    if (one := condition[name]).opcode == "get-tuple-element"
  ]
  end = next(one for one in body.values() if one.root)
  if len(index) != 1 or not index[0] or end.opcode != "tuple":
    return 1
  added = body[end.operands[int(index[0][1])]]
  steps = [constant(body.get(name)) for name in added.operands]
  return max([1, *steps]) if added.opcode == "add" else 1


def group_size(rest: str) -> int:
  """Returns the devices of a collective's groups."""
  if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", rest):
    return len(listed[1].split(","))
  if counted := re.search(r"replica_groups=\[([\d,]+)\]", rest):
    return int(counted[1].split(",")[-1])
  if named := re.search(r"replica_groups=mesh\[(.*?)\][^{]*\{(.*?)\}", rest):
    sizes = dict(re.findall(r"('\w+')=(\d+)", named[1]))
    parts = re.findall(r"('\w+')(?::\(\d+\)(\d+))?", named[2])
    return math.prod(int(part or sizes[name]) for name, part in parts)
  return 2  # A permutation sends to one other device.


def source(line: Instruction) -> str:
  """Returns the name of the operation that an instruction comes from."""
  found = re.search(r'op_name="([^"]*)"', line.rest)
  return found[1] if found else ""


def attribute(line: Instruction, name: str) -> str:
  found = re.search(rf'{name}="([^"]*)"', line.rest)
  return found[1] if found else ""


def touched(line: Instruction, operands: Sequence[str]) -> float:
  """Returns the bytes that an instruction outside fusions moves."""
  if "AllocateBuffer" in line.rest:
    return 0.0
  result = in_hbm(line.shape)
  if line.opcode in ("dynamic-slice", "slice"):
    return 2.0 * result
  if line.opcode == "gather":
    return 2.0 * result + in_hbm(operands[1])
  if line.opcode == "dynamic-update-slice":
    return 2.0 * in_hbm(operands[1])
  if line.opcode == "scatter":
    return 3.0 * in_hbm(operands[-1]) + in_hbm(operands[1])
  return float(result + sum(map(in_hbm, operands)))
