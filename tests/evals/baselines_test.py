"""Baselines, against slow references; none of them reads the test period."""

import dataclasses
import math

import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import evaluation_cases, schema, splits, statistics
from pinrec_jax.evals import baselines, popularity


@pytest.mark.parametrize(
  ("filter_seen", "recall"),
  [
    pytest.param("nothing", 0.0291, marks=pytest.mark.slow),
    ("engagements", 0.0310),
  ],
)
def test_popularity_on_the_excerpt_is_as_published(mini, filter_seen, recall):
  cases = evaluation_cases.cases(mini, "test")
  lists = popularity.of_all(
    mini, cases, split="test", size=10, filter_seen=filter_seen
  )
  assert lists.shape == (2_296, 10)
  assert mini.items.candidate[lists].all()
  config = config_lib.Config(
    evals=config_lib.Evals(cutoffs=(10,)),
    index=config_lib.Index(filter_seen=filter_seen),
  )
  groups = statistics.item_groups(mini, "test")
  every = baselines.figures(config, mini, cases, groups)
  assert list(every) == [*baselines.NAMES]
  figures = every["popularity"]
  assert round(figures["recall@10"], 4) == recall
  assert figures["recall@10:low"] < figures["recall@10"]
  # The ten most popular items are head items.
  assert figures["recall@10/head_items"] > recall
  assert figures["recall@10/new_items"] == 0


def test_popularity_counts_dated_engagements_before_the_cut(world, cases):
  first = popularity.of_all(
    world, cases, split="test", size=1, filter_seen="nothing"
  )
  candidate = world.items.candidate.copy()
  candidate[first[0]] = False  # The most popular item is no candidate.
  items = world.items._replace(candidate=candidate)
  known = dataclasses.replace(world.catalog, items=items)
  world = dataclasses.replace(world, catalog=known)
  counts = dict.fromkeys(np.flatnonzero(candidate).tolist(), 0)
  for events in world.events:
    for n, item in enumerate(events.item.tolist()):
      dated = schema.UNKNOWN_TIME < events.time[n] < world.vocabulary.test_from
      if dated and events.engaged[n] and item in counts:
        counts[item] += 1
  ranked = sorted(counts, key=lambda item: (-counts[item], item))
  plain, unseen, unshown = (
    popularity.of_all(
      world, cases, split="test", size=6, filter_seen=filter_seen
    )
    for filter_seen in ("nothing", "engagements", "exposures")
  )
  assert (plain == ranked[:6]).all()
  for n, case in enumerate(cases):
    seen = case.past.item[case.past.engaged]
    assert unseen[n].tolist() == [i for i in ranked if i not in seen][:6]
    shown = case.past.item
    assert unshown[n].tolist() == [i for i in ranked if i not in shown][:6]
  assert (plain != unseen).any()
  assert (unseen != unshown).any()


def test_a_list_is_shorter_if_too_few_items_are_left(world, cases):
  lists = popularity.of_all(
    world, cases, split="test", size=30, filter_seen="engagements"
  )
  assert lists.shape == (len(cases), 30)
  for row, case in zip(lists, cases, strict=True):
    seen = set(case.past.item[case.past.engaged])
    left = set(np.flatnonzero(world.items.candidate)) - seen
    assert set(row[row >= 0]) == left
    assert (row[len(left) :] == -1).all()


BASELINES = (popularity.of_recent, baselines.co_occurrence)


def _decayed(world, end, seconds):
  """Returns the candidates by decayed engagements before a moment."""
  dated = [
    (int(time), int(item))
    for events in world.events
    for time, item, engaged in zip(
      events.time, events.item, events.engaged, strict=True
    )
    if engaged and 0 < time < end
  ]
  newest, weights = max(dated)[0], dict.fromkeys(range(31), 0.0)
  for time, item in dated:
    weights[item] += 0.5 ** ((newest - time) / seconds)
  counted = {item for _, item in dated}
  return [
    item
    for item in sorted(weights, key=lambda item: (-weights[item], item))
    if item in counted and world.items.candidate[item]
  ]


@pytest.mark.parametrize("filter_seen", ["nothing", "engagements", "exposures"])
def test_recent_popularity_decays_with_the_half_life_of_the_validation(
  world, cases, filter_seen
):
  early = evaluation_cases.cases(world, "validation")
  recalls, least = {}, {}
  for seconds in popularity.HALF_LIVES:
    ranked = _decayed(world, world.vocabulary.validation_from, seconds)
    hits, totals = [], []
    for case in early:
      seen = case.past.seen(filter_seen)
      top = [item for item in ranked if item not in seen][: popularity.K]
      wanted = {*case.targets.item.tolist()}
      hits.append(len(wanted & {*top}))
      totals.append(len(wanted))
    recalls[seconds] = own = sum(hits) / sum(totals)
    spread = sum((h - own * t) ** 2 for h, t in zip(hits, totals, strict=True))
    least[seconds] = own - math.sqrt(spread) / sum(totals)
  best = max(recalls, key=lambda seconds: recalls[seconds])
  chosen = min(s for s, own in recalls.items() if own >= least[best])
  assert popularity.half_life(world, filter_seen) == chosen
  ranked = _decayed(world, world.vocabulary.test_from, chosen)
  lists = popularity.of_recent(
    world, cases, split="test", size=6, filter_seen=filter_seen
  )
  for row, case in zip(lists, cases, strict=True):
    seen = case.past.seen(filter_seen)
    wanted = [item for item in ranked if item not in seen][:6]
    assert row[row >= 0].tolist() == wanted


def test_without_validation_users_the_half_life_is_a_day(world):
  moment = world.vocabulary.test_from
  names = dataclasses.replace(world.vocabulary, validation_from=moment)
  catalog = dataclasses.replace(world.catalog, vocabulary=names)
  log = dataclasses.replace(world, catalog=catalog)
  assert popularity.half_life(log, "nothing") == popularity.USUAL == 86_400


def test_last_items_are_distinct_and_the_last_one_comes_first(world, cases):
  lists = baselines.last_items(world, cases, size=7)
  for row, case in zip(lists, cases, strict=True):
    wanted = []
    for item in case.past.item[case.past.engaged][::-1].tolist():
      if item not in wanted and world.items.candidate[item]:
        wanted.append(item)
    assert row[row >= 0].tolist() == wanted[:7]
    assert (row[len(wanted[:7]) :] == -1).all()
  # Their order is that of the last engagements, not of the first ones.
  assert len({tuple(row) for row in lists.tolist()}) > 10


def _last_distinct(items, most):
  found = []
  for item in items[::-1]:
    if item not in found:
      found.append(item)
  return found[:most]


def _co_occurrence(world, cases, size, filter_seen):
  """Returns the lists and their scores, from sets and dense loops."""
  users = [
    set(_last_distinct(past.item[past.engaged].tolist(), baselines.USER_ITEMS))
    for events in world.events
    for past in [splits.past(world.vocabulary, events, "test")]
  ]
  of_item = {
    item: {n for n, own in enumerate(users) if item in own}
    for item in range(len(world.items.ids))
  }
  lists = []
  for case in cases:
    scores = dict.fromkeys(of_item, 0.0)
    history = _last_distinct(
      case.past.item[case.past.engaged].tolist(), baselines.HISTORY
    )
    for old in history:
      cosine = {
        new: round(
          len(of_item[old] & of_item[new])
          / np.sqrt(len(of_item[old]) * len(of_item[new])),
          9,
        )
        for new in of_item
        if new != old and of_item[old] & of_item[new]
      }
      best = sorted(cosine, key=lambda new: (-cosine[new], new))
      for new in best[: baselines.NEIGHBOURS]:
        scores[new] += cosine[new]
    seen = case.past.seen(filter_seen)
    lists.append(
      [
        item
        for item in sorted(scores, key=lambda i: (-round(scores[i], 9), i))
        if round(scores[item], 9) > 0
        and item not in seen
        and world.items.candidate[item]
      ][:size]
    )
  return lists


@pytest.mark.parametrize("filter_seen", ["nothing", "engagements"])
@pytest.mark.parametrize("limits", [(10, 100, 100), (3, 5, 4)])
def test_co_occurrence_equals_its_definition(
  world, cases, filter_seen, limits, monkeypatch
):
  for name, limit in zip(
    ("HISTORY", "USER_ITEMS", "NEIGHBOURS"), limits, strict=True
  ):
    monkeypatch.setattr(baselines, name, limit)
  monkeypatch.setattr(baselines, "ITEMS_AT_ONCE", 5)
  monkeypatch.setattr(baselines, "SCORES_AT_ONCE", 100)
  lists = baselines.co_occurrence(
    world, cases, split="test", size=8, filter_seen=filter_seen
  )
  wanted = _co_occurrence(world, cases, 8, filter_seen)
  assert [row[row >= 0].tolist() for row in lists] == wanted
  assert any(wanted)


def test_no_baseline_reads_the_test_period(world, cases):
  """Other events after the cut give the same lists."""
  rng = np.random.default_rng(0)
  changed = []
  for events in world.events:
    late = events.time >= world.vocabulary.test_from
    item = np.where(late, rng.integers(1, 28, len(events)), events.item)
    changed.append(dataclasses.replace(events, item=item.astype(np.int32)))
  other = dataclasses.replace(world, events=tuple(changed))
  for ranked in BASELINES:
    one, two = (
      ranked(log, cases, split="test", size=6, filter_seen="nothing")
      for log in (world, other)
    )
    np.testing.assert_array_equal(one, two)


def test_a_log_without_times_has_no_recent_popularity(world, cases):
  undated = [
    dataclasses.replace(events, time=np.zeros_like(events.time))
    for events in world.events
  ]
  names = dataclasses.replace(world.vocabulary, validation_from=0, test_from=0)
  catalog = dataclasses.replace(world.catalog, vocabulary=names)
  log = dataclasses.replace(world, catalog=catalog, events=tuple(undated))
  cases = evaluation_cases.cases(log, "test")
  config = config_lib.Config(
    evals=config_lib.Evals(cutoffs=(3,)),
    index=config_lib.Index(filter_seen="nothing"),
  )
  found = baselines.figures(config, log, cases, {})
  assert list(found) == ["popularity", "last items", "co-occurrence"]
  assert all(0 <= own["recall@3"] <= 1 for own in found.values())


def test_users_without_an_engagement_get_empty_lists(world, cases):
  past = cases[0].past
  nobody = dataclasses.replace(
    cases[0],
    past=dataclasses.replace(past, engaged=np.zeros_like(past.engaged)),
  )
  lists = baselines.co_occurrence(
    world, [nobody], split="test", size=4, filter_seen="nothing"
  )
  assert (lists == -1).all()
  assert (baselines.last_items(world, [nobody], size=4) == -1).all()
