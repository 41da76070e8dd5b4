"""Metrics against counts by hand and slow references."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinrec_jax.data import evaluation_cases, schema
from pinrec_jax.evals import metrics
from pinrec_jax.types import UserSums


def _mean(values):
  """Returns the mean over the users whose value is not NaN."""
  return UserSums.of_mean(values).ratio()


def case(*targets):
  """Returns a user whose targets are (item, action, action, ...)."""
  actions = np.zeros((len(targets), 3), np.uint8)
  for n, (_, *names) in enumerate(targets):
    actions[n, names] = 1
  zeros = np.zeros(len(targets), np.int64)
  item = np.array([item for item, *_ in targets], np.int32)
  events = schema.Events(
    item, actions, zeros, zeros, zeros, zeros - 1, zeros == 0, zeros > 0
  )
  return evaluation_cases.Case("u", events, events)


TARGETS = metrics.targets([case((5, 0), (6, 0, 1), (5, 1)), case((7, 1))])
LISTS = np.array([[1, 5, 2, 6], [3, 4, 7, 8]])


@pytest.mark.parametrize(
  ("k", "outcome", "expected"),
  [
    (1, None, 0 / 4),
    (2, None, 2 / 4),  # An item with two engagements counts twice.
    (3, None, 3 / 4),
    (4, None, 4 / 4),
    (2, 0, 1 / 2),
    (2, 1, 1 / 3),
  ],
)
def test_recall_is_the_fraction_of_all_targets(k, outcome, expected):
  hits = metrics.found(LISTS, TARGETS, k)
  subset = None if outcome is None else TARGETS.actions[:, outcome]
  assert metrics.recall(hits, subset) == pytest.approx(expected)


def test_recall_can_be_of_a_subset_of_targets():
  hits = metrics.found(LISTS, TARGETS, 2)  # Both of 5, none of 6 and 7.
  some = TARGETS.item >= 6
  assert metrics.recall(hits, some) == 0
  assert metrics.recall(hits, ~some) == 1
  saved = TARGETS.actions[:, 1]
  assert metrics.recall(hits, saved & (TARGETS.item != 6)) == 1 / 2
  assert math.isnan(metrics.recall(hits, np.zeros(4, bool)))


def test_a_shorter_list_holds_no_target_in_its_empty_places():
  lists = np.array([[5, -1, -1, -1], [-1, -1, -1, -1]])
  assert metrics.found(lists, TARGETS, 4).tolist() == [
    True, False, True, False,
  ]  # fmt: skip
  assert metrics.found(lists, TARGETS, 99).sum() == 2
  assert _mean(metrics.ndcg(lists, TARGETS, 4)) < 1
  assert metrics.acted_on(lists, TARGETS, 0).tolist() == [1, 0]
  assert metrics.coverage(lists, candidates=4) == 1 / 4
  assert metrics.diversity(lists) == 1
  assert math.isnan(metrics.diversity(lists[1:]))
  assert metrics.coverage(lists[1:], candidates=4) == 0


def test_the_sums_of_users_give_the_recall_of_each_subset():
  users = [case((n % 7, 0), (n % 5, 1)) for n in range(60)]
  every = metrics.targets(users)
  lists = np.stack([np.arange(4) + n % 3 for n in range(60)])
  hits = metrics.found(lists, every, 3)
  for subset in (np.ones(len(hits), bool), every.actions[:, 1]):
    sums = metrics.recall_sums(hits, every, subset, len(users))
    assert sums.ratio() == metrics.recall(hits, subset)
    assert sums.total.tolist() == [
      sum(subset[every.user == n]) for n in range(60)
    ]
    assert (sums.found <= sums.total).all()


@pytest.mark.parametrize(
  ("k", "outcome", "expected"),
  [
    (1, None, 0),
    (2, None, (1 / math.log2(3)) / (1 + 1 / math.log2(3)) / 2),
    (3, 1, (0 / 1 + 1 / math.log2(4)) / 2 + (1 / math.log2(3)) / (
      1 + 1 / math.log2(3)) / 2),
    (2, 0, (1 / math.log2(3)) / (1 + 1 / math.log2(3))),  # The first user only.
  ],
)  # fmt: skip
def test_ndcg_by_hand(k, outcome, expected):
  values = metrics.ndcg(LISTS, TARGETS, k, outcome)
  assert _mean(values) == pytest.approx(expected)


def test_an_outcome_without_targets_is_nan():
  hits = metrics.found(LISTS, TARGETS, 4)
  assert math.isnan(metrics.recall(hits, TARGETS.actions[:, 2]))
  assert math.isnan(_mean(metrics.ndcg(LISTS, TARGETS, 4, 2)))


@given(st.data(), st.integers(1, 12))
def test_a_perfect_list_has_ndcg_1_and_no_list_has_more(data, k):
  targets = data.draw(st.lists(st.integers(1, 20), min_size=1, max_size=15))
  row = data.draw(st.permutations(range(1, 21)))
  user = metrics.targets([case(*((item, 0) for item in targets))])
  rest = [item for item in range(1, 21) if item not in targets]
  perfect = np.array([list(dict.fromkeys(targets)) + rest])
  assert metrics.ndcg(perfect, user, k) == pytest.approx([1])
  assert 0 <= metrics.ndcg(np.array([row]), user, k)[0] <= 1 + 1e-9


@given(st.data(), st.integers(1, 12))
def test_recall_and_ndcg_equal_slow_references(data, k):
  targets = data.draw(
    st.lists(
      st.lists(st.integers(1, 20), min_size=1, max_size=9),
      min_size=1,
      max_size=4,
    )
  )
  lists = [data.draw(st.permutations(range(1, 21))) for _ in targets]
  hit, total, values = 0, 0, []
  for row, wanted in zip(lists, targets, strict=True):
    for item in wanted:
      total += 1
      hit += item in row[:k]
    gain = sum(
      1 / math.log2(place + 2) for place in range(k) if row[place] in wanted
    )
    most = sum(1 / math.log2(n + 2) for n in range(min(k, len(set(wanted)))))
    values.append(gain / most)
  every = metrics.targets(
    [case(*((item, 0) for item in wanted)) for wanted in targets]
  )
  rows = np.array(lists)
  hits = metrics.found(rows, every, k)
  assert metrics.recall(hits) == pytest.approx(hit / total)
  assert _mean(metrics.ndcg(rows, every, k)) == pytest.approx(
    sum(values) / len(values)
  )


def test_unordered_recall_counts_the_neighbours_of_every_vector():
  neighbours = np.array([[[5, 1], [1, 2]], [[1, 2], [3, 4]]])
  hits = metrics.unordered(neighbours, TARGETS)
  assert hits.tolist() == [True, False, True, False]


NEIGHBOURS = st.lists(  # Of each user and vector: two nearest items, or -1.
  st.lists(
    st.permutations([-1, 1, 2, 3, 4]).map(lambda items: items[:2]),
    min_size=3,
    max_size=3,
  ),
  min_size=1,
  max_size=4,
)


def test_the_first_distinct_items_go_round_the_vectors():
  # Nearest items first: 5, 1 and 5 again. Then 2, 6 and 7.
  neighbours = np.array([[[5, 2], [1, 6], [5, 7]]])
  lists = [metrics.first_distinct(neighbours, size)[0] for size in (1, 3, 9)]
  assert [row.tolist() for row in lists] == [
    [5],
    [5, 1, 2],
    [5, 1, 2, 6, 7, -1, -1, -1, -1],
  ]


def test_the_first_distinct_items_of_one_vector_are_its_nearest():
  nearest = np.array([[9, 3, 7, 1]])
  assert metrics.first_distinct(nearest[:, None], 3).tolist() == [[9, 3, 7]]


@given(NEIGHBOURS, st.integers(1, 9))
def test_the_first_distinct_items_equal_a_slow_reference(neighbours, size):
  lists = metrics.first_distinct(np.array(neighbours), size)
  for row, vectors in zip(lists.tolist(), neighbours, strict=True):
    expected = []
    for rank in range(2):
      for vector in vectors:
        item = vector[rank]
        if item != -1 and item not in expected:
          expected.append(item)
    expected = expected[:size]
    assert row == expected + [-1] * (size - len(expected))


def test_diversity_of_all_that_is_retrieved_is_counted_per_user():
  apart, alike = [[1, 2], [3, 4]], [[1, 2], [2, 1]]
  for users, expected in (
    ([apart], 1),
    ([alike], 1 / 2),
    ([apart, alike], 3 / 4),  # Items of one user may occur for another.
    ([[[1, -1], [1, -1]], [[-1, -1], [-1, -1]]], 1 / 2),
  ):
    assert _mean(metrics.retrieved_diversity(np.array(users))) == expected
  nothing = metrics.retrieved_diversity(np.full((2, 2, 2), -1))
  assert math.isnan(_mean(nothing))


@given(NEIGHBOURS)
def test_diversity_of_all_that_is_retrieved_equals_a_slow_reference(neighbours):
  fractions = []
  for vectors in neighbours:
    items = [item for vector in vectors for item in vector if item != -1]
    fractions.append(len(set(items)) / len(items))
  found = metrics.retrieved_diversity(np.array(neighbours))
  assert found == pytest.approx(fractions)


def test_candidates_that_got_an_action_are_counted_once():
  # Outcome 0 is in the targets 5 and 6 of the first user. Outcome 1 is in all
  # targets, and 5 is in two of them.
  assert metrics.acted_on(LISTS, TARGETS, 0).tolist() == [2, 0]
  assert metrics.acted_on(LISTS, TARGETS, 1).tolist() == [2, 1]
  assert metrics.acted_on(LISTS, TARGETS, 2).tolist() == [0, 0]


def test_diversity_and_coverage_count_unique_items():
  lists = np.array([[1, 2], [2, 3]])
  assert metrics.diversity(lists) == 3 / 4
  assert metrics.coverage(lists, candidates=12) == 3 / 12


def test_overlap_ignores_the_order():
  truth = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
  row = np.array([[4, 3, 2, 1], [5, -1, 9, 8]])
  assert metrics.overlap(row, truth).tolist() == [1, 0.5]


def test_recency_by_hand():
  embedded = np.eye(3, dtype=np.float32)
  places = np.array([[-1, 0, 1, 0, 2], [-1, -1, -1, -1, 2], [1, 0, -1, 2, 2]])
  query = embedded[np.array([[0, 1], [2, 2], [2, 0]])]
  # The first user has four events: item 0 is last at place 2, item 1 at place
  # 1. The second user has one event. If an item ends the history twice, its
  # last event counts.
  np.testing.assert_allclose(
    metrics.recency(query, places, embedded),
    [(2 / 3 + 1 / 3) / 2, np.nan, (1 + 1 / 3) / 2],
  )
