import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinrec_jax.data import evaluation_cases, schema
from pinrec_jax.evals import metrics


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
    (2, None, 2 / 4),  # an item engaged with twice counts twice
    (3, None, 3 / 4),
    (4, None, 4 / 4),
    (2, 0, 1 / 2),
    (2, 1, 1 / 3),
  ],
)
def test_recall_is_the_share_of_all_targets(k, outcome, expected):
  hits = metrics.found(LISTS, TARGETS, k)
  assert metrics.recall(hits, TARGETS, outcome) == pytest.approx(expected)


def test_recall_may_be_of_some_items_only():
  hits = metrics.found(LISTS, TARGETS, 2)  # both of 5, none of 6 and 7
  some = np.arange(9) >= 6
  assert metrics.recall(hits, TARGETS, items=some) == 0
  assert metrics.recall(hits, TARGETS, items=~some) == 1
  assert metrics.recall(hits, TARGETS, 1, ~(np.arange(9) == 6)) == 1 / 2
  assert math.isnan(metrics.recall(hits, TARGETS, items=np.zeros(9, bool)))


@pytest.mark.parametrize(
  ("k", "outcome", "expected"),
  [
    (1, None, 0),
    (2, None, (1 / math.log2(3)) / (1 + 1 / math.log2(3)) / 2),
    (3, 1, (0 / 1 + 1 / math.log2(4)) / 2 + (1 / math.log2(3)) / (
      1 + 1 / math.log2(3)) / 2),
    (2, 0, (1 / math.log2(3)) / (1 + 1 / math.log2(3))),  # the first user only
  ],
)  # fmt: skip
def test_ndcg_by_hand(k, outcome, expected):
  assert metrics.ndcg(LISTS, TARGETS, k, outcome) == pytest.approx(expected)


def test_outcome_nobody_had_is_no_number():
  hits = metrics.found(LISTS, TARGETS, 4)
  assert math.isnan(metrics.recall(hits, TARGETS, 2))
  assert math.isnan(metrics.ndcg(LISTS, TARGETS, 4, 2))


@given(st.data(), st.integers(1, 12))
def test_perfect_list_has_ndcg_one_and_no_other_more(data, k):
  targets = data.draw(st.lists(st.integers(1, 20), min_size=1, max_size=15))
  row = data.draw(st.permutations(range(1, 21)))
  user = metrics.targets([case(*((item, 0) for item in targets))])
  rest = [item for item in range(1, 21) if item not in targets]
  perfect = np.array([list(dict.fromkeys(targets)) + rest])
  assert metrics.ndcg(perfect, user, k) == pytest.approx(1)
  assert 0 <= metrics.ndcg(np.array([row]), user, k) <= 1 + 1e-9


@given(st.data(), st.integers(1, 12))
def test_recall_and_ndcg_are_those_of_slow_references(data, k):
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
  assert metrics.recall(hits, every) == pytest.approx(hit / total)
  assert metrics.ndcg(rows, every, k) == pytest.approx(
    sum(values) / len(values)
  )


def test_unordered_counts_what_any_vector_found():
  neighbours = np.array([[[5, 1], [1, 2]], [[1, 2], [3, 4]]])
  hits = metrics.unordered(neighbours, TARGETS)
  assert hits.tolist() == [True, False, True, False]


def test_action_rate_is_of_candidates_not_of_targets():
  # Outcome 0: items 5 and 6 of the first user, none of the second; the
  # click on 5 and the one on 6 fill two of eight places.
  assert metrics.action_rate(LISTS, TARGETS, 0) == 2 / 8
  assert metrics.action_rate(LISTS, TARGETS, 1) == 3 / 8


def test_diversity_and_coverage_count_unique_items():
  lists = np.array([[1, 2], [2, 3]])
  assert metrics.diversity(lists) == 3 / 4
  assert metrics.coverage(lists, catalog=12) == 3 / 12


def test_overlap_ignores_the_order():
  truth = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
  row = np.array([[4, 3, 2, 1], [5, -1, 9, 8]])
  assert metrics.overlap(row, truth).tolist() == [1, 0.5]


def test_recency_by_hand():
  embedded = np.eye(3, dtype=np.float32)
  places = np.array([[-1, 0, 1, 0, 2], [-1, -1, -1, -1, 2], [1, 0, -1, 2, 2]])
  query = embedded[np.array([[0, 1], [2, 2], [2, 0]])]
  # Four of five slots are known: 0 comes last as the third, 1 as the second.
  # One event has no before and after. Where the same comes twice at the end,
  # the last time counts.
  np.testing.assert_allclose(
    metrics.recency(query, places, embedded),
    [(2 / 3 + 1 / 3) / 2, np.nan, (1 + 1 / 3) / 2],
  )
