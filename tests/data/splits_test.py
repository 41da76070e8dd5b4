"""Where a log is split, and how its configuration moves the splits."""

import dataclasses

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import splits


@pytest.fixture
def config(raw, tmp_path):
  return config_lib.Data(
    source=str(raw("mini")), prepared_dir=str(tmp_path / "prepared")
  )


def test_an_event_at_the_cut_is_not_before_it(world):
  events = world.events[5]
  cut = dataclasses.replace(world.vocabulary, test_from=int(events.time[9]))
  assert splits.before(cut, events, "test") == 9
  later = dataclasses.replace(cut, test_from=cut.test_from + 1)
  assert splits.before(later, events, "test") == 10


def test_a_split_moved_back_leaves_out_what_comes_after(config):
  whole = dataset_lib.load(config)
  config.split_shift_days = 2
  moved = dataset_lib.load(config)
  was, now = whole.vocabulary, moved.vocabulary
  assert now.test_from == was.test_from - 2 * 86400
  assert now.validation_from == was.validation_from - 2 * 86400
  assert moved.folder == whole.folder  # it is not prepared again
  left_out = 0
  for before, after in zip(whole.events, moved.events, strict=True):
    earlier = before.time < was.test_from
    np.testing.assert_array_equal(after.item, before.item[earlier])
    np.testing.assert_array_equal(after.time, before.time[earlier])
    left_out += len(before) - len(after)
  assert left_out


def test_a_split_by_time_holds_out_no_number_of_engagements(config):
  config.held_out_events = 4
  with pytest.raises(ValueError, match="held_out_events is 4, and this log is"):
    dataset_lib.load(config)
  config.name = "synthetic"
  config.synthetic_users = 20
  assert dataset_lib.load(config).vocabulary.held_out == 4


def test_a_split_by_place_cannot_be_moved_back(config):
  config.name, config.split_shift_days = "synthetic", 1
  with pytest.raises(
    ValueError, match="split_shift_days is 1, and this log is not"
  ):
    dataset_lib.load(config)


@hypothesis.given(
  st.lists(st.tuples(st.integers(0, 4), st.integers(1, 500)), max_size=30),
  st.sampled_from([0, 200]),
)
def test_gaps_are_those_that_training_may_know(pairs, validation_from):
  pairs = sorted(pairs)
  apart = []
  for user in {user for user, _ in pairs}:
    times = [time for own, time in pairs if own == user]
    if validation_from:
      times = [time for time in times if time < validation_from]
    else:
      times = times[:-2]
    apart += list(np.diff(times))
  user, time = np.array(pairs, int).reshape(-1, 2).T
  found = splits.training_gaps(user, time, validation_from)
  assert np.repeat(found.values, found.counts).tolist() == sorted(apart)
  percentiles = splits.percentiles(found)
  if apart:
    expected = np.percentile(apart, range(1, 100))
    np.testing.assert_allclose(percentiles, np.floor(expected), atol=1)
  else:
    assert percentiles == ()
