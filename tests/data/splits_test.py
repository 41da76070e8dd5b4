import numpy as np
import pytest

from pinrec_jax.data import schema, splits


def test_excerpt_has_the_published_test_set(mini):
  cases = splits.cases(mini, "test")
  assert len(cases) == 2_296
  assert sum(len(case.targets) for case in cases) == 17_752


@pytest.mark.parametrize("split", ["validation", "test"])
def test_cases_are_those_of_a_slow_reference(world, split):
  start, end = splits.period(world.vocabulary, split)
  expected = {}
  for user, events in zip(world.users, world.events, strict=True):
    times = events.time.tolist()
    past = [n for n, time in enumerate(times) if time < start]
    targets = [
      n
      for n, time in enumerate(times)
      if start <= time < end and events.engaged[n]
    ]
    if targets and len(past) >= 5:
      expected[user] = (events.item[past], events.item[targets])
  cases = splits.cases(world, split)
  assert 5 < len(cases) < len(world.users)
  assert [case.user for case in cases] == list(expected)
  for case in cases:
    past, targets = expected[case.user]
    np.testing.assert_array_equal(case.past.item, past)
    np.testing.assert_array_equal(case.targets.item, targets)
    assert case.targets.engaged.all()


def test_periods_follow_one_another(world):
  validation = splits.period(world.vocabulary, "validation")
  test = splits.period(world.vocabulary, "test")
  assert validation[0] < validation[1] == test[0]


def test_limit_takes_users_evenly(mini):
  every = splits.cases(mini, "test")
  few = splits.cases(mini, "test", limit=10)
  places = [[c.user for c in every].index(case.user) for case in few]
  steps = np.diff(places)
  assert len(few) == 10
  assert steps.max() - steps.min() <= 1
  assert len(splits.cases(mini, "test", limit=10**6)) == len(every)


def test_outcome_share_counts_dated_training_engagements(world):
  until = world.vocabulary.validation_from
  counts = np.zeros(world.vocabulary.outcomes)
  for events in world.events:
    for n, time in enumerate(events.time):
      if time != schema.UNKNOWN_TIME and time < until and events.engaged[n]:
        counts += events.actions[n, : counts.size]
  share = splits.outcome_share(world)
  np.testing.assert_allclose(share, counts / counts.sum(), rtol=1e-6)
  assert share[0] > share[1] > share[2] > 0


def test_cold_items_are_those_nobody_engaged_with_before(world):
  until = world.vocabulary.validation_from
  warm = {
    int(item)
    for events in world.events
    for item, time, engaged in zip(
      events.item, events.time, events.engaged, strict=True
    )
    if engaged and time < until
  }
  cold = splits.cold(world, until)
  assert {n for n in range(len(cold)) if not cold[n]} == warm
  assert splits.cold(world, 0).all()
