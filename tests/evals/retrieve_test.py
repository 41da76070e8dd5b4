"""Lists of many users: complete, unseen, and independent of the batches."""

import dataclasses

import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.evals import retrieve as retrieve_lib


@pytest.mark.parametrize("filter_seen", ["nothing", "engagements", "exposures"])
def test_lists_are_full_unique_and_unseen(
  world, small, untrained, cases, filter_seen, retrieve
):
  small.index.filter_seen = filter_seen
  seen = [case.past.seen(filter_seen) for case in cases]
  candidates = set(np.flatnonzero(world.items.candidate))
  widest = max(len(candidates & set(own)) for own in seen)
  size = len(candidates) - widest
  lists = retrieve(untrained(small), cases, size=size)
  assert lists.items.shape == lists.outcome.shape == (len(cases), size)
  for row, own in zip(lists.items, seen, strict=True):
    assert len(set(row)) == size
    assert set(row) <= candidates
    assert not set(row) & set(own)


def test_a_longer_list_ends_where_no_item_is_left(
  world, small, untrained, cases, retrieve
):
  lists = retrieve(untrained(small), cases, size=60)
  candidates = set(np.flatnonzero(world.items.candidate))
  for row, case in zip(lists.items, cases, strict=True):
    left = candidates - set(case.past.seen("engagements"))
    assert set(row[row >= 0]) == left
    assert (row[len(left) :] == -1).all()


def test_lists_spend_the_budget(small, untrained, cases, retrieve, shares):
  small.decode.dedup_threshold = 1.0
  lists = retrieve(untrained(small), cases, size=8)
  assert lists.vectors == len(shares) * small.decode.steps
  assert lists.kept == lists.vectors
  for outcome, share in enumerate(shares.values()):
    spent = (lists.outcome == outcome).sum(-1)
    assert np.abs(spent - 8 * share).max() <= 1


def test_the_batch_size_changes_nothing(small, untrained, cases, retrieve):
  one, other = (
    retrieve(untrained(small), cases[:12], batch_size=size) for size in (5, 40)
  )
  np.testing.assert_array_equal(one.items, other.items)
  np.testing.assert_array_equal(one.neighbours, other.neighbours)
  assert one.kept == other.kept


def test_nothing_of_the_evaluated_period_is_read(
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


def test_the_configuration_decides_which_events_are_read(
  small, untrained, cases, retrieve
):
  more = config_lib.replace(small, **{"data.history_events": "exposures"})
  one, other = (retrieve(untrained(c), cases).items for c in (small, more))
  assert (one != other).any()


def test_shorter_rows_give_the_same_lists(small, untrained, cases, retrieve):
  small.data.sequence_length, small.decode.steps = 32, 2
  retriever = untrained(small)
  ask = retriever.reader.defaults().ask
  given = [
    retriever.reader.from_events(c.user, c.past, ask=ask, candidates=6)
    for c in cases
  ]
  users, lengths = retrieve_lib._batches(retriever, given, len(cases))
  assert (users.shape, lengths.tolist()) == ((1, len(cases)), [31])
  whole = retrieve(retriever, cases, batch_size=len(cases))
  users, lengths = retrieve_lib._batches(retriever, given, 3)
  order = list(dict.fromkeys(users.reshape(-1).tolist()))
  assert sorted(order) == list(range(len(cases)))
  events = [cases[user].past.engaged.sum() for user in order]
  assert events == sorted(events)
  assert len(set(lengths)) > 1
  for own, length in zip(users, lengths, strict=True):
    longest = max(cases[user].past.engaged.sum() for user in own)
    assert length == 31 or longest < length
  parts = retrieve(retriever, cases, batch_size=3)
  np.testing.assert_array_equal(parts.items, whole.items)
  np.testing.assert_array_equal(parts.outcome, whole.outcome)
  np.testing.assert_array_equal(parts.neighbours, whole.neighbours)
  np.testing.assert_allclose(parts.recency, whole.recency, rtol=1e-6)


def test_without_neighbours_there_is_no_recency(small, untrained, cases):
  retriever = untrained(small)
  lists = retrieve_lib.retrieve(
    retriever, cases[:3], retriever.reader.defaults().ask, size=4,
    batch_size=2, quiet=True,
  )  # fmt: skip
  assert lists.neighbours.shape[1:] == (0, 0)
  assert np.isnan(lists.recency).all()
