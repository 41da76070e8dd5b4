import dataclasses

import numpy as np
import pytest

from pinrec_jax.data import evaluation_cases, schema, splits, statistics


def test_excerpt_has_the_published_test_set(mini):
  cases = evaluation_cases.cases(mini, "test")
  assert len(cases) == 2_296
  assert sum(len(case.targets) for case in cases) == 17_752


@pytest.mark.parametrize("split", ["validation", "test"])
def test_cases_are_those_of_a_slow_reference(world, split):
  start, end = {
    "validation": (
      world.vocabulary.validation_from,
      world.vocabulary.test_from,
    ),
    "test": (world.vocabulary.test_from, 2**32),
  }[split]
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
  cases = evaluation_cases.cases(world, split)
  assert 5 < len(cases) < len(world.users)
  assert [case.user for case in cases] == list(expected)
  for case in cases:
    past, targets = expected[case.user]
    np.testing.assert_array_equal(case.past.item, past)
    np.testing.assert_array_equal(case.targets.item, targets)
    assert case.targets.engaged.all()


def _by_place(world, held):
  """The same log, each user's last engagements held out."""
  names = dataclasses.replace(
    world.vocabulary, validation_from=0, test_from=0, held_out=held
  )
  known = dataclasses.replace(world.catalog, vocabulary=names)
  return dataclasses.replace(world, catalog=known)


@pytest.fixture
def last_ones(world):
  return _by_place(world, 1)


@pytest.mark.parametrize(("held", "least"), [(1, 30), (2, 20)])
def test_without_times_the_last_engagements_are_held_out(world, held, least):
  log = _by_place(world, held)
  found = {
    split: {case.user: case for case in evaluation_cases.cases(log, split)}
    for split in splits.SPLITS
  }
  assert list(found["test"]) == list(found["validation"])
  for user, events in zip(log.users, log.events, strict=True):
    engaged = np.flatnonzero(events.engaged).tolist()
    if user not in found["test"]:
      assert len(engaged) <= 2 * held
      continue
    both = engaged[-2 * held : -held], engaged[-held:]
    for split, places in zip(splits.SPLITS, both, strict=True):
      case = found[split][user]
      assert case.past.item.tolist() == events.item[: places[0]].tolist()
      assert case.targets.item.tolist() == events.item[places].tolist()
  assert len(found["test"]) > least


@pytest.mark.parametrize("engagements", range(4))
def test_who_has_too_few_engagements_is_only_trained_on(last_ones, engagements):
  events = last_ones.events[5]
  last = np.flatnonzero(events.engaged)[:engagements]
  events = events.where(slice(int(last[-1]) + 1 if engagements else 0))
  past = splits.past(last_ones.vocabulary, events, "validation")
  assert past.engaged.sum() == (1 if engagements == 3 else engagements)


def test_without_times_every_engagement_says_what_is_usual(world, last_ones):
  events = world.events[5]
  assert not events.time[0]
  assert events.engaged[0]
  kept = [
    statistics.recent(log, events, "test").item[0] for log in (world, last_ones)
  ]
  assert kept[0] != events.item[0] == kept[1]


def test_limit_takes_users_evenly(mini):
  every = evaluation_cases.cases(mini, "test")
  few = evaluation_cases.cases(mini, "test", limit=10)
  places = [[c.user for c in every].index(case.user) for case in few]
  steps = np.diff(places)
  assert len(few) == 10
  assert steps.max() - steps.min() <= 1
  assert len(evaluation_cases.cases(mini, "test", limit=10**6)) == len(every)


def test_outcome_share_counts_dated_training_engagements(world):
  until = world.vocabulary.validation_from
  counts = np.zeros(world.vocabulary.outcomes)
  for events in world.events:
    for n, time in enumerate(events.time):
      if time != schema.UNKNOWN_TIME and time < until and events.engaged[n]:
        counts += events.actions[n, : counts.size]
  share = statistics.outcome_fractions(world)
  np.testing.assert_allclose(share, counts / counts.sum(), rtol=1e-6)
  assert share[0] > share[1] > share[2] > 0


def test_cold_items_are_those_nobody_engaged_with_before(world):
  until = world.vocabulary.test_from - 8 * 86400
  names = dataclasses.replace(world.vocabulary, validation_from=until)
  known = dataclasses.replace(world.catalog, vocabulary=names)
  world = dataclasses.replace(world, catalog=known)
  warm = {
    int(item)
    for events in world.events
    for item, time, engaged in zip(
      events.item, events.time, events.engaged, strict=True
    )
    if engaged and time < until
  }
  cold = statistics.cold_items(world, "validation")
  assert {n for n in range(len(cold)) if not cold[n]} == warm
  assert statistics.cold_items(world, "test").sum() < cold.sum() < len(cold)


def test_the_head_is_the_fewest_items_of_half_the_engagements(world):
  counts = np.zeros(len(world.items.ids), int)
  for events in world.events:
    earlier = splits.past(world.vocabulary, events, "test")
    for item in earlier.item[earlier.engaged]:
      counts[item] += 1
  groups = statistics.item_groups(world, "test")
  np.testing.assert_array_equal(np.sum([*groups.values()], 0), 1)
  np.testing.assert_array_equal(groups["new"], counts == 0)
  head, tail = counts[groups["head"]], counts[groups["tail"]]
  assert head.min() >= tail.max()
  assert 2 * head.sum() >= counts.sum() > 2 * (head.sum() - head.min())


def test_targets_are_what_is_aimed_at(world):
  every = {case.user: case for case in evaluation_cases.cases(world, "test")}
  aim = world.vocabulary.aim("search", "save")
  world = dataclasses.replace(world, aim=aim)
  chosen = evaluation_cases.cases(world, "test")
  assert 0 < len(chosen) < len(every)
  for case in chosen:
    whole = every[case.user]
    assert case.past.item.tolist() == whole.past.item.tolist()
    at = (whole.targets.surface == 2) & (whole.targets.actions[:, 1] > 0)
    assert case.targets.item.tolist() == whole.targets.item[at].tolist()
  share = statistics.outcome_fractions(world)
  np.testing.assert_array_equal(share, [0, 1, 0])
