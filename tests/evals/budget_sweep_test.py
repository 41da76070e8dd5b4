"""The sweep of a budget: its figures, and how well the budget steers."""

import numpy as np
import pytest

from pinrec_jax.data import evaluation_cases
from pinrec_jax.evals import budget_sweep, metrics


def test_a_sweep_moves_the_budget_from_one_outcome_to_the_next(
  small, untrained, cases, retrieve, shares
):
  targets = metrics.targets(cases)
  small.decode.steps = 1
  retriever = untrained(small)
  rows, _ = budget_sweep.sweep(retriever, cases, small.evals, points=3)
  budgets = [[row[f"budget/{name}"] for name in shares] for row in rows]
  assert budgets == [
    [1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1],
  ]  # fmt: skip
  for row, name, outcome in ((rows[0], "click", 0), (rows[4], "like", 2)):
    lists = retrieve(retriever, cases, budget={name: 1.0})
    hits = metrics.acted_on(lists.items, targets, outcome).sum()
    assert row[f"hits/{name}"] == hits
    assert row[f"rate/{name}"] == hits / lists.items.size
    change = hits / rows[0][f"hits/{name}"] - 1
    assert row[f"change/{name}"] == pytest.approx(change)
    for key in (f"rate/{name}", f"change/{name}"):
      assert row[f"{key}:low"] <= row[key] <= row[f"{key}:high"]
    found = metrics.found(lists.items, targets, 6)
    assert row["recall"] == metrics.recall(found)
    assert row["recall:hits"] == found.sum()
    assert row["recall:low"] <= row["recall"] <= row["recall:high"]


def test_lists_follow_the_budget_if_outcomes_have_close_vectors(
  small, untrained, mini
):
  """All vectors count as near-duplicates, and the budget still steers."""
  small.decode.dedup_threshold = 1e-6
  small.evals.cutoffs = (10, 100)
  small.evals.sweep = ("is_click", "long_view", "is_like")
  some = evaluation_cases.cases(mini, "test", limit=40)
  retriever = untrained(small, mini)
  rows, steering = budget_sweep.sweep(retriever, some, small.evals)
  assert len(rows) == 21
  assert steering["unchanged"] <= 0.5
  assert steering["share_error"] <= 0.05
  assert steering["unchanged"] == max(row["unchanged"] for row in rows[1:])
  assert steering["same_items"] >= steering["unchanged"]
  for row in rows:
    shares = [row[f"achieved/{name}"] for name in small.evals.sweep]
    assert sum(shares) == pytest.approx(1)


def hits(*rates):
  """Returns the hits of 400 users at several budgets, from rates of actions."""
  rng = np.random.default_rng(0)
  draw = rng.random((400, 1))
  return np.stack([(draw < rate).astype(int) for rate in rates])


def test_a_working_range_ends_where_nothing_is_gained():
  first = np.array([0.5, 0.5, 0.4, 0.3, 0.2, 0.1])
  second = np.array([0.1, 0.2, 0.3, 0.4, 0.4, 0.4])
  found = hits(*np.stack([first, second], 1))
  # Between the first two budgets, the first outcome is level; between the last
  # three, the second one is.
  assert budget_sweep.working_range(found) == (1, 3, True)
  other_way = found[::-1, :, ::-1]
  assert budget_sweep.working_range(other_way) == (2, 4, True)


def test_without_a_trade_off_the_range_has_the_best_budgets_of_both():
  rates = np.array([0.1, 0.2, 0.4, 0.4, 0.4])
  found = hits(*np.stack([rates, rates], 1))
  assert budget_sweep.working_range(found) == (2, 4, False)


def test_noise_is_no_reason_to_leave_a_budget_out():
  rng = np.random.default_rng(1)
  found = rng.integers(2, size=(5, 400, 2))
  assert budget_sweep.working_range(found) == (0, 4, False)
