"""Sizes that are rounded up, so that few programs are compiled.

Every new shape compiles a program for seconds. A server lists its sizes and
compiles all programs before it is ready. Then no request can choose a shape.
"""

import dataclasses

Ladder = tuple[int, ...]  # Increasing sizes; empty stands for powers of two.
LIST_STEP = 64  # Without a ladder, neighbours are a multiple of this.


@dataclasses.dataclass(frozen=True)
class Sizes:
  """Ladders of sizes. A number goes up to the next rung.

  Attributes:
    batch: requests of a batch.
    length: tokens of a history, with the start token.
    steps: generation steps.
    offsets: offsets of a request.
    lists: candidates of a list, and neighbours of a vector.
    all_vectors: whether vectors without a budget are kept, so that their number
      depends on steps and offsets alone.
  """

  batch: Ladder = ()
  length: Ladder = ()
  steps: Ladder = ()
  offsets: Ladder = ()
  lists: Ladder = ()
  all_vectors: bool = False

  def vectors(self, most: int, total: int) -> int:
    """Returns how many vectors of each request are kept.

    Args:
      most: vectors with a budget, of the request that has most of them.
      total: vectors of each request.
    """
    return total if self.all_vectors else min(up(most, ()), total)

  def list(self, size: int) -> int:
    """Returns the length of the lists of a batch."""
    return up(size, self.lists) if self.lists else size

  def neighbours(self, size: int, hidden: int) -> int:
    """Returns how many neighbours of a vector are fetched.

    Args:
      size: length of a list.
      hidden: items that are left out, of the request that has most of them.
    """
    if self.lists:
      return up(size + hidden, self.lists)
    return size + -(-max(hidden, 1) // LIST_STEP) * LIST_STEP

  def or_else(self, default: "Sizes") -> "Sizes":
    """Returns the ladders, those of another object where there are none."""
    ladders = {
      name: own or getattr(default, name)
      for name, own in vars(self).items()
      if name != "all_vectors"
    }
    return dataclasses.replace(self, **ladders)


def powers(most: int) -> Ladder:
  """Returns the powers of two up to the first one that holds `most`."""
  return tuple(1 << power for power in range((most - 1).bit_length() + 1))


def up(number: int, ladder: Ladder) -> int:
  """Returns the next rung of a ladder, or the next power of two without one.

  Raises:
    ValueError: if the number is above the ladder.
  """
  if not ladder:
    return 1 << (number - 1).bit_length()
  for rung in ladder:
    if number <= rung:
      return rung
  raise ValueError(f"{number} is more than the largest size, {ladder[-1]}")
