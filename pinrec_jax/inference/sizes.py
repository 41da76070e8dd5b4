"""Sizes that are rounded up, so that few programs are compiled.

Every new shape compiles a program for seconds. A server lists its sizes and
compiles all programs before it is ready. Then no request can choose a shape.
"""

import dataclasses
from typing import NamedTuple

Ladder = tuple[int, ...]  # Increasing sizes.
LIST_STEP = 64  # Without rungs, neighbours are a multiple of this.


class Rung(NamedTuple):
  """Sizes that requests are answered in, if they ask for no more.

  Attributes:
    batch: requests of a batch.
    steps: generation steps.
    offsets: offsets of a request.
    candidates: length of a list.
    neighbours: neighbours of a vector, enough for the list and all items that
      it leaves out.
  """

  batch: Ladder
  steps: int
  offsets: int
  candidates: int
  neighbours: int


@dataclasses.dataclass(frozen=True)
class Sizes:
  """All sizes; empty ones stand for powers of two.

  Attributes:
    length: tokens of a history, with the start token.
    rungs: from small requests to large ones.
  """

  length: Ladder = ()
  rungs: tuple[Rung, ...] = ()

  def rung(
    self, steps: int, offsets: int, candidates: int, hidden: int
  ) -> Rung | None:
    """Returns the first rung that is large enough; None without rungs.

    Args:
      steps: generation steps.
      offsets: offsets of the request.
      candidates: length of the list.
      hidden: items that the list leaves out.

    Raises:
      ValueError: if no rung is large enough.
    """
    for rung in self.rungs:
      if (
        steps <= rung.steps
        and offsets <= rung.offsets
        and candidates <= rung.candidates
        and candidates + hidden <= rung.neighbours
      ):
        return rung
    if self.rungs:
      raise ValueError(f"the request is larger than {self.rungs[-1]}")
    return None


def neighbours(candidates: int, hidden: int) -> int:
  """Returns how many neighbours of a vector are fetched without rungs."""
  return candidates + -(-max(hidden, 1) // LIST_STEP) * LIST_STEP


def powers(most: int) -> Ladder:
  """Returns the powers of two up to the first one that holds `most`."""
  return tuple(1 << power for power in range((most - 1).bit_length() + 1))


def up(number: int, ladder: Ladder = ()) -> int:
  """Returns the next size of a ladder, or the next power of two without one.

  Raises:
    ValueError: if the number is above the ladder.
  """
  if not ladder:
    return 1 << (number - 1).bit_length()
  for size in ladder:
    if number <= size:
      return size
  raise ValueError(f"{number} is more than the largest size, {ladder[-1]}")
