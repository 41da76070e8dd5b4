"""Conditions and budgets of requests, and of a batch of them as arrays."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from pinrec_jax.types import AnyArray

STEP_DECAY = 0.5  # Share of a step's budget relative to the step before.
NEXT_EVENT = -1  # The offset of the next event, at any time.
UNSPECIFIED = -1  # No condition on the surface, item type or age.


class Ask(NamedTuple):
  """The conditions and the budget of one request.

  Attributes:
    budget: share of the candidates for each outcome, and last for the
      unspecified outcome. The sum is 1. A share of 0 switches an outcome off.
    offsets: seconds ahead; NEXT_EVENT is the next event at any time. Each
      outcome has one vector per offset, with equal budgets.
    steps: generation steps.
    surface: index of the surface, or UNSPECIFIED.
    item_type: index of the item type, or UNSPECIFIED.
    age: target age in seconds before the end of training, or UNSPECIFIED.
  """

  budget: tuple[float, ...]
  offsets: tuple[int, ...] = (NEXT_EVENT,)
  steps: int = 1
  surface: int = UNSPECIFIED
  item_type: int = UNSPECIFIED
  age: int = UNSPECIFIED


class Conditions(NamedTuple):
  """Conditions of a batch; queries are ordered by outcome, then by offset.

  Attributes:
    outcome: 1 + the outcome of each query; 0 is unspecified.
    offset: seconds ahead; -1 is unspecified.
    fed_back: the query whose vector is fed back.
    surface: 1 + the surface; 0 is unspecified.
    item_type: 1 + the item type; 0 is unspecified.
    age: seconds before the end of training; -1 is unspecified.
  """

  outcome: Int[AnyArray, "q"]
  offset: Int[AnyArray, "b q"]
  fed_back: Int[AnyArray, "b"]
  surface: Int[AnyArray, "b"]
  item_type: Int[AnyArray, "b"]
  age: Int[AnyArray, "b"]


def of_batch(
  asks: Sequence[Ask], *, offsets: int, steps: int
) -> tuple[Conditions, Float[np.ndarray, "b t q"]]:
  """Returns the conditions of a batch, and the budget of every vector.

  All outcomes are computed, so that shapes depend on `offsets` and `steps`
  alone. Vectors that a request does not need have a budget of 0.

  Args:
    asks: one per request.
    offsets: number of offsets; at least the most that a request has.
    steps: generation steps; at least the most that a request has.
  """
  outcomes = len(asks[0].budget)
  offset = np.full((len(asks), offsets), NEXT_EVENT, np.int32)
  part = np.zeros((len(asks), offsets))
  weight = np.zeros((len(asks), steps))
  for row, ask in enumerate(asks):
    size = len(ask.offsets)
    offset[row, :size], part[row, :size] = ask.offsets, 1 / size
    decay = STEP_DECAY ** np.arange(ask.steps)
    weight[row, : ask.steps] = decay / decay.sum()
  budget = np.array([ask.budget for ask in asks])
  share = (budget[:, :, None] * part[:, None]).reshape(len(asks), -1)
  # Of the outcome with the largest share, the vector with the nearest offset
  # is fed back.
  nearest = np.array([np.argmin(ask.offsets) for ask in asks])
  number = [*range(1, outcomes), 0]
  conditions = Conditions(
    outcome=np.repeat(np.array(number, np.int32), offsets),
    offset=np.tile(offset, (1, outcomes)),
    fed_back=(budget.argmax(1) * offsets + nearest).astype(np.int32),
    surface=1 + np.array([ask.surface for ask in asks], np.int32),
    item_type=1 + np.array([ask.item_type for ask in asks], np.int32),
    age=np.array([ask.age for ask in asks], np.int32),
  )
  shares = (weight[:, :, None] * share[:, None]).astype(np.float32)
  return conditions, shares
