"""The configuration of a day's training."""

import math
import pathlib

import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import days
from pinrec_jax.training import daily

BATCH, LENGTH = 2, 8


@pytest.fixture
def day(world):
  """A day with some events that were shown only."""
  return days.training(
    world,
    since=world.vocabulary.validation_from,
    until=world.vocabulary.test_from,
    replay=0.3,
    length=LENGTH,
    history_events="engagements",
    seed=0,
  )


def steps(small, day, **fields):
  config = config_lib.replace(
    small,
    **{"train.batch_size": BATCH, "data.sequence_length": LENGTH},
    **fields,
  )
  yesterday = daily.Model("", 0)
  return daily.day_config(config, pathlib.Path("run"), yesterday, day).train


def test_a_day_is_read_twice(small, day):
  """Events that the model does not read are not counted."""
  own = day.dataset.events
  read = 2 * sum(1 + int((e.engaged | e.context).sum()) for e in own)
  assert read < 2 * sum(1 + len(e) for e in own)
  found = steps(small, day).steps
  assert found == math.ceil(read / (BATCH * LENGTH))
  every = steps(small, day, **{"data.history_events": "exposures"}).steps
  assert every > found
