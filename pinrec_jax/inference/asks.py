"""What requests ask for: conditions, a budget and the length of the list."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pinrec_jax.decode import budget as budget_lib
from pinrec_jax.decode import conditions
from pinrec_jax.inference import bundle as bundle_lib
from pinrec_jax.inference import wire

MAX_OFFSETS = 16  # Of a request, to bound the work of its batch.
MAX_SECONDS = 2**31 - 1  # Of an offset or an age.


class Defaults(NamedTuple):
  """What a request gets if it does not say otherwise."""

  ask: conditions.Ask
  candidates: int


class Asks:
  """Reads and checks what requests ask one bundle for."""

  def __init__(self, bundle: bundle_lib.Bundle) -> None:
    self._bundle, self._config = bundle, bundle.config

  def defaults(
    self,
    *,
    budget: str | Mapping[str, float] | None = None,
    candidates: int | None = None,
  ) -> Defaults:
    """Returns the configured defaults, some of them replaced.

    Raises:
      ValueError: on an invalid budget, name or number.
    """
    decode, names = self._config.decode, self._bundle.vocabulary
    ask = conditions.Ask(
      budget=self.budget(decode.budget if budget is None else budget),
      offsets=decode.offsets or (conditions.NEXT_EVENT,),
      steps=self._steps(decode.steps),
      surface=names.surface(decode.surface) if decode.surface else -1,
      item_type=names.item_type(decode.item_type) if decode.item_type else -1,
      # A log without a time split has no target ages.
      age=decode.age if names.test_from else conditions.UNSPECIFIED,
    )
    size = decode.candidates if candidates is None else candidates
    return Defaults(ask, _at_least_one("candidates", size))

  def budget(self, budget: str | Mapping[str, float]) -> budget_lib.Budget:
    """Returns a budget; an empty one means the fractions of the log.

    Raises:
      ValueError: on an invalid budget, or one for an unconditioned model.
    """
    names = self._bundle.vocabulary
    if not self._config.model.conditioned:
      if budget:
        raise ValueError(
          f"budget {budget!r} asks an unconditioned model for outcomes; train "
          "with model.conditioned=True"
        )
      return budget_lib.unspecified(names)
    if budget:
      return budget_lib.parse(budget, names)
    return budget_lib.from_fractions(self._bundle.outcome_fractions)

  def read(
    self, fields: wire.RequestFields, defaults: Defaults
  ) -> tuple[conditions.Ask, int]:
    """Returns the conditions of a request, and the length of its list.

    Raises:
      ValueError: naming the field at fault.
    """
    names = self._bundle.vocabulary
    changes: dict[str, Any] = {}
    for field in ("surface", "item_type", "offsets", "age"):
      value = getattr(fields, field)
      if value is not None and not self._config.model.conditioned:
        raise ValueError(
          f"{field} is {value!r} and the model is unconditioned; leave it out"
        )
    if fields.budget is not None:
      changes["budget"] = self.budget(fields.budget)
    if fields.surface is not None:
      changes["surface"] = names.surface(fields.surface)
    if fields.item_type is not None:
      changes["item_type"] = names.item_type(fields.item_type)
    if fields.offsets is not None:
      changes["offsets"] = _offsets(fields.offsets)
    if fields.age is not None:
      changes["age"] = fields.age
      if not conditions.UNSPECIFIED <= fields.age <= MAX_SECONDS:
        raise ValueError(
          f"age is {fields.age}; use seconds, 0 or more, or -1 for any"
        )
    if fields.steps is not None:
      changes["steps"] = self._steps(fields.steps)
    size = defaults.candidates
    if fields.candidates is not None:
      size = _at_least_one("candidates", fields.candidates)
    return defaults.ask._replace(**changes), size

  def _steps(self, steps: int) -> int:
    """Returns a number of steps that leaves room for the start token.

    Raises:
      ValueError: if it does not.
    """
    longest = self._config.sequence_length
    if not 1 <= steps < longest:
      raise ValueError(
        f"steps is {steps}; use 1 or more, and fewer than the sequence length "
        f"({longest})"
      )
    return steps


def _offsets(given: Sequence[int]) -> tuple[int, ...]:
  """Returns valid offsets.

  Raises:
    ValueError: if there are none or too many, or one is out of range.
  """
  valid = (conditions.NEXT_EVENT <= n <= MAX_SECONDS for n in given)
  if not 1 <= len(given) <= MAX_OFFSETS or not all(valid):
    raise ValueError(
      f"offsets is {list(given[: MAX_OFFSETS + 1])}; list 1 to {MAX_OFFSETS} "
      f"numbers of seconds, from 0 to {MAX_SECONDS}, or -1 for the next event"
    )
  return tuple(given)


def _at_least_one(field: str, value: int) -> int:
  if value < 1:
    raise ValueError(f"{field} is {value}; use 1 or more")
  return value
