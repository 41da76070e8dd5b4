"""Batches of requests that need every program, one batch a program."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import NamedTuple

from pinrec_jax.decode import conditions
from pinrec_jax.inference import requests as requests_lib
from pinrec_jax.inference import sizes as sizes_lib


class Case(NamedTuple):
  """A batch, and the sizes that it is answered in.

  Attributes:
    requests: the batch.
    length: positions of a history; one is for the start token.
    rung: the sizes; None rounds up to powers of two.
  """

  requests: list[requests_lib.Request]
  length: int
  rung: sizes_lib.Rung | None


def cases(
  reader: requests_lib.Reader, sizes: sizes_lib.Sizes, most: int
) -> Iterator[Case]:
  """Yields a batch for each program.

  Args:
    reader: of requests, for those of the defaults.
    sizes: all sizes. If they are empty, there are batches up to `most`, whole
      histories, and the configured steps, offsets and candidates.
    most: requests in a batch.
  """
  defaults = reader.defaults()
  ask, size = defaults.ask, defaults.candidates
  usual = sizes_lib.Rung(
    sizes_lib.powers(most), ask.steps, len(ask.offsets), size, size
  )
  nobody = reader.read({"user": "warm-up"}, "", defaults)
  assert isinstance(nobody, requests_lib.Request)
  lengths = sizes.length or (reader.max_tokens(ask.steps),)
  for rung in sizes.rungs or (usual,):
    offsets = (conditions.NEXT_EVENT,) * rung.offsets
    request = dataclasses.replace(
      nobody,
      ask=ask._replace(steps=rung.steps, offsets=offsets),
      candidates=rung.candidates,
    )
    own = rung if sizes.rungs else None
    for batch, length in itertools.product(rung.batch, lengths):
      yield Case([request] * batch, length, own)
