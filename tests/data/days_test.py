"""The histories that an update trains on."""

import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import days, evaluation_cases, histories, splits

DAY = 86400


def trained(world, **changes):
  fields = {
    "since": world.vocabulary.validation_from,
    "until": world.vocabulary.test_from,
    "replay": 0.0,
    "length": 8,
    "history_events": "engagements",
    "seed": 0,
  }
  return days.training(world, **fields | changes)


def test_new_targets_are_those_of_the_period_after_some_context(world):
  since, until = world.vocabulary.validation_from, world.vocabulary.test_from
  found = trained(world)
  assert found.replayed == 0
  assert found.targets > 0
  total = 0
  for user, part in zip(found.dataset.users, found.dataset.events, strict=True):
    whole = world.events[world.users.index(user)]
    new = (whole.time >= since) & (whole.time < until) & whole.engaged
    assert part.engaged.sum() == new.sum()
    assert part.time[part.engaged].min() >= since
    assert part.time.max() < until
    # A quarter of a row of the engagements before is read and not predicted.
    before = (whole.time < since) & whole.engaged
    kept = part.context & (part.time < since)
    assert kept.sum() == min(before.sum(), 2)
    assert not (part.engaged & part.context).any()
    total += int(new.sum())
  assert total == found.targets
  names = found.dataset.vocabulary
  assert splits.starts(names, "test") == splits.starts(names, "validation")
  assert names.test_from == until


def test_the_fraction_of_replayed_targets(world):
  found = trained(world, replay=0.5)
  windows = [
    own
    for name, own in zip(found.dataset.users, found.dataset.events, strict=True)
    if name.startswith("replay")
  ]
  since = world.vocabulary.validation_from
  assert all(own.time.max() < since and len(own) <= 7 for own in windows)
  assert all(own.engaged[-1] for own in windows)
  assert sum(int(own.engaged.sum()) for own in windows) == found.replayed
  assert found.replayed == pytest.approx(found.targets, abs=7)
  again = trained(world, replay=0.5)
  for a, b in zip(found.dataset.events, again.dataset.events, strict=True):
    np.testing.assert_array_equal(a.item, b.item)


@pytest.mark.parametrize("replay", [0.0, 0.5])
def test_each_target_of_a_day_is_predicted_once(world, replay):
  """By the event before it, and not by all events of its context."""
  found = trained(world, replay=replay)
  total = 0
  for part in found.dataset.events:
    pieces = histories.training(
      part, config_lib.Data(), end=0, outcomes=world.vocabulary.outcomes
    )
    total += sum(int((piece.targets.item > 0).sum()) for piece in pieces)
  assert total == found.targets + found.replayed
  assert any(part.context.sum() > 1 for part in found.dataset.events)


def test_exposures_are_context_too(world):
  found = trained(world, history_events="exposures")
  since = world.vocabulary.validation_from
  for part in found.dataset.events:
    assert (part.context == (part.time < since)).all()


def test_a_period_without_events(world):
  late = world.vocabulary.test_from + 9 * DAY
  found = trained(world, since=late, until=late + 1, replay=0.5)
  assert (found.targets, found.replayed) == (0, 0)
  assert found.dataset.users == ()


def test_the_gate_is_a_test_period(world):
  newest = days.newest(world)
  assert newest == max(int(own.time.max()) for own in world.events)
  late = days.at(world, newest)
  cases = evaluation_cases.cases(late, "test")
  assert {int(case.targets.time.min()) for case in cases} == {newest}
