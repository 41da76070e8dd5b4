import itertools
import math

import pytest

from pinrec_jax.data import evaluation_cases
from pinrec_jax.evals import retrieval, tables

MODELS = {"": "ours", "other_": "theirs"}


def cells(text):
  """Returns a Markdown table's cells, after checking that it lines up."""
  lines = [line for line in text.splitlines() if line.startswith("|")]
  assert len({len(line) for line in lines}) == 1
  assert set(lines[1]) == set("| -")
  return [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (lines[0], *lines[2:])
  ]


def test_recalls_of_models_stand_side_by_side():
  keys = [
    f"{metric}@{k}{group}"
    for k in (3, 6)
    for metric in ("recall", "ndcg")
    for group in ("", "/click")
  ]
  values = itertools.count(1)
  report = {p + key: next(values) / 1000 for p in MODELS for key in keys}
  report |= {"unordered_recall@10": 0.25, "vectors": 7, "other_vectors": 1}
  head, *rows = cells(tables.recalls(report, MODELS, ["click"], [3, 6]))
  assert head == ["one list of k", "ours", "theirs"]
  assert rows[:8] == [
    [key, f"{report[key]:.4f}", f"{report['other_' + key]:.4f}"] for key in keys
  ]
  # What a model does not have stays empty.
  assert rows[8:] == [
    ["unordered_recall@10", "0.25", ""],
    ["vectors", "7", "1"],
  ]


SWEEP = [
  {"budget/a": 1.0, "budget/b": 0.0, "rate/a": 0.02, "rate/b": 0.0,
   "recall": 0.5},
  {"budget/a": 0.25, "budget/b": 0.75, "rate/a": 0.01, "rate/b": 0.001,
   "recall": math.nan},
]  # fmt: skip


def test_sweep_is_told_in_percent():
  head, *rows = cells(tables.sweep(SWEEP, 100))
  assert head == [
    "budget a", "budget b", "acted on: a", "acted on: b", "recall@100",
  ]  # fmt: skip
  assert rows == [
    ["100 %", "0 %", "2.000 %", "0.000 %", "0.5000"],
    ["25 %", "75 %", "1.000 %", "0.100 %", "nan"],
  ]


def test_a_profile_is_told_by_groups():
  told = tables.profile({"users": 1200, "gap/p50": 2.25, "gap/mean": 7})
  lines = [line.split("|")[1:3] for line in told.splitlines()[2:]]
  assert [[cell.strip() for cell in line] for line in lines] == [
    ["users", "1,200"],
    ["gap", "p50 2.2, mean 7"],
  ]


def test_flat_rows_keep_their_number():
  flat = tables.flat(SWEEP, "sweep")
  assert len(flat) == 10
  assert flat["sweep/1/budget/b"] == 0.75


@pytest.mark.parametrize("conditioned", [True, False])
def test_examples_tell_what_was_retrieved(world, small, untrained, conditioned):
  small.model.conditioned = conditioned
  small.decode.steps = 1
  retriever = untrained(small)
  cases = evaluation_cases.cases(world, "test")
  text = tables.examples(retriever, world.catalog, cases, 2, size=3)
  users = [line for line in text.splitlines() if line.startswith("user")]
  assert len(users) == 2
  assert users[0].startswith(f"user {cases[0].user}: engaged with ")
  past = cases[0].past.item[cases[0].past.engaged]
  last = " ".join(str(key) for key in world.items.ids[past[-3:]])
  assert f"engaged with {last} (last of {len(past)}); then with" in users[0]
  budget = {"save": 1.0} if conditioned else {}
  found = retrieval.retrieve(
    retriever, cases[:1], size=3, budget=budget, quiet=True
  )
  ids = " ".join(str(key) for key in world.items.ids[found.items[0]])
  name = "save" if conditioned else "any outcome"
  assert f"  for {name}: {ids}" in text.splitlines()
  lines_a_user = 1 + (3 if conditioned else 1)
  assert len(text.splitlines()) == 2 * lines_a_user


def test_examples_are_at_most_the_users_there_are(world, small, untrained):
  small.decode.steps = 1
  cases = evaluation_cases.cases(world, "test")[:2]
  text = tables.examples(untrained(small), world.catalog, cases, 5, size=3)
  assert sum(line.startswith("user") for line in text.splitlines()) == 2
