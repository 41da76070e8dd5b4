import copy
import dataclasses

import numpy as np
import pytest

from pinrec_jax.data import evaluation_cases, schema, statistics
from pinrec_jax.evals import retrieval, run


@pytest.mark.parametrize(
  ("drop_seen", "recall"), [("nothing", 0.0291), ("engagements", 0.0310)]
)
def test_popularity_on_the_excerpt_is_as_published(mini, drop_seen, recall):
  cases = evaluation_cases.cases(mini, "test")
  lists = retrieval.popularity(
    mini, cases, split="test", size=10, drop_seen=drop_seen
  )
  assert lists.shape == (2_296, 10)
  assert mini.items.candidate[lists].all()
  items = statistics.item_groups(mini, "test")
  report = run.of_lists(
    lists, cases, mini.vocabulary, [10], "popularity_", items=items
  )
  assert round(report["popularity_recall@10"], 4) == recall
  # What is not among the ten is in none of them.
  assert report["popularity_recall@10/head_items"] > recall
  assert report["popularity_recall@10/new_items"] == 0


def test_popularity_counts_dated_engagements_before_the_cut(world, cases):
  first = retrieval.popularity(
    world, cases, split="test", size=1, drop_seen="nothing"
  )
  candidate = world.items.candidate.copy()
  candidate[first[0]] = False  # the most popular is not to be recommended
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
    retrieval.popularity(
      world, cases, split="test", size=6, drop_seen=drop_seen
    )
    for drop_seen in ("nothing", "engagements", "exposures")
  )
  assert (plain == ranked[:6]).all()
  for n, case in enumerate(cases):
    seen = case.past.item[case.past.engaged]
    assert unseen[n].tolist() == [i for i in ranked if i not in seen][:6]
    shown = case.past.item
    assert unshown[n].tolist() == [i for i in ranked if i not in shown][:6]
  assert (plain != unseen).any()
  assert (unseen != unshown).any()


@pytest.mark.parametrize("drop_seen", ["nothing", "engagements", "exposures"])
def test_lists_are_full_unique_and_unseen(
  world, small, untrained, cases, drop_seen, retrieve
):
  small.index.filter_seen = drop_seen
  seen = [case.past.seen(drop_seen) for case in cases]
  candidates = set(np.flatnonzero(world.items.candidate))
  widest = max(len(candidates & set(own)) for own in seen)
  size = len(candidates) - widest
  lists = retrieve(untrained(small), cases, size=size)
  assert lists.items.shape == lists.outcome.shape == (len(cases), size)
  for row, own in zip(lists.items, seen, strict=True):
    assert len(set(row)) == size
    assert set(row) <= candidates
    assert not set(row) & set(own)


def test_lists_spend_the_budget(small, untrained, cases, retrieve, shares):
  small.decode.dedup_threshold = 1.0
  lists = retrieve(untrained(small), cases, size=8)
  assert lists.vectors == len(shares) * small.decode.steps
  assert lists.kept == lists.vectors
  for outcome, share in enumerate(shares.values()):
    spent = (lists.outcome == outcome).sum(-1)
    assert np.abs(spent - 8 * share).max() <= 1


def test_batch_size_changes_nothing(small, untrained, cases, retrieve):
  few, many = copy.deepcopy(small), small
  few.evals.batch_size = 5
  one, other = (retrieve(untrained(c), cases[:12]) for c in (few, many))
  np.testing.assert_array_equal(one.items, other.items)
  np.testing.assert_array_equal(one.neighbours, other.neighbours)
  assert one.kept == other.kept


def test_nothing_of_the_period_evaluated_is_read(
  small, untrained, cases, retrieve
):
  emptied = [
    dataclasses.replace(case, targets=case.targets.where(slice(0)))
    for case in cases
  ]
  retriever = untrained(small)
  np.testing.assert_array_equal(
    retrieve(retriever, cases).items, retrieve(retriever, emptied).items
  )


def test_inputs_decide_what_is_read(small, untrained, cases, retrieve):
  more = copy.deepcopy(small)
  more.data.history_events = "exposures"
  one, other = (retrieve(untrained(c), cases).items for c in (small, more))
  assert (one != other).any()


def test_lists_are_the_same_in_rows_as_long_as_histories(
  small, untrained, cases, retrieve
):
  small.data.sequence_length, small.decode.steps = 32, 2
  small.evals.batch_size = len(cases)
  retriever = untrained(small)
  users, lengths = retrieval._batches(retriever, cases)
  assert (users.shape, lengths.tolist()) == ((1, len(cases)), [31])
  whole = retrieve(retriever, cases)
  small.evals.batch_size = 3
  users, lengths = retrieval._batches(retriever, cases)
  order = list(dict.fromkeys(users.reshape(-1).tolist()))
  assert sorted(order) == list(range(len(cases)))
  events = [cases[user].past.engaged.sum() for user in order]
  assert events == sorted(events)
  assert len(set(lengths)) > 1
  for own, length in zip(users, lengths, strict=True):
    longest = max(cases[user].past.engaged.sum() for user in own)
    assert length == 31 or longest < length
  parts = retrieve(retriever, cases)
  np.testing.assert_array_equal(parts.items, whole.items)
  np.testing.assert_array_equal(parts.outcome, whole.outcome)
  np.testing.assert_array_equal(parts.neighbours, whole.neighbours)
  assert parts.recency == pytest.approx(whole.recency)
