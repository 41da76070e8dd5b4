"""Popularity: counts before the cut, without candidates that were seen."""

import dataclasses

import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import evaluation_cases, schema, statistics
from pinrec_jax.evals import baselines


@pytest.mark.parametrize(
  ("filter_seen", "recall"), [("nothing", 0.0291), ("engagements", 0.0310)]
)
def test_popularity_on_the_excerpt_is_as_published(mini, filter_seen, recall):
  cases = evaluation_cases.cases(mini, "test")
  lists = baselines.popularity(
    mini, cases, split="test", size=10, filter_seen=filter_seen
  )
  assert lists.shape == (2_296, 10)
  assert mini.items.candidate[lists].all()
  config = config_lib.Config(
    evals=config_lib.Evals(cutoffs=(10,)),
    index=config_lib.Index(filter_seen=filter_seen),
  )
  groups = statistics.item_groups(mini, "test")
  figures = baselines.figures(config, mini, cases, groups)
  assert round(figures["recall@10"], 4) == recall
  assert figures["recall@10:low"] < figures["recall@10"]
  # The ten most popular items are head items.
  assert figures["recall@10/head_items"] > recall
  assert figures["recall@10/new_items"] == 0


def test_popularity_counts_dated_engagements_before_the_cut(world, cases):
  first = baselines.popularity(
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
    baselines.popularity(
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
  lists = baselines.popularity(
    world, cases, split="test", size=30, filter_seen="engagements"
  )
  assert lists.shape == (len(cases), 30)
  for row, case in zip(lists, cases, strict=True):
    seen = set(case.past.item[case.past.engaged])
    left = set(np.flatnonzero(world.items.candidate)) - seen
    assert set(row[row >= 0]) == left
    assert (row[len(left) :] == -1).all()
