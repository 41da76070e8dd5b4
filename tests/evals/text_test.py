"""Reports as text: aligned tables with the figures as they are."""

import itertools
import math

from pinrec_jax import reports
from pinrec_jax.data import repeats
from pinrec_jax.evals import text


def cells(table):
  """Returns a Markdown table's cells, after checking that it lines up."""
  lines = [line for line in table.splitlines() if line.startswith("|")]
  assert len({len(line) for line in lines}) == 1
  assert set(lines[1]) == set("| -")
  return [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (lines[0], *lines[2:])
  ]


def _figures(values):
  """Returns figures of two cutoffs, overall and for clicks."""
  found = {}
  for k in (3, 6):
    for group in ("", "/click", "/save"):
      found[f"ndcg@{k}{group}"] = next(values) / 1000
      key = f"recall@{k}{group}"
      for end in ("", ":low", ":high"):
        found[f"{key}{end}"] = next(values) / 1000
      found[f"{key}:hits"] = 1000 + next(values)
  return found


def test_every_model_has_a_row_for_all_targets_and_for_each_outcome():
  values = itertools.count(1)
  models = {name: _figures(values) for name in ("ours", "theirs")}
  targets = {"": 2000, "click": 500, "save": 0}
  table = text.recalls(models, targets, [3, 6])
  head, *rows = cells(table)
  assert head == ["targets", "model", "recall@3", "recall@6", "ndcg@3"]
  # An outcome without a target has no row.
  assert [row[:2] for row in rows] == [
    ["all (2,000)", "ours"], ["all (2,000)", "theirs"],
    ["click (500)", "ours"], ["click (500)", "theirs"],
  ]  # fmt: skip
  for row, group in zip(rows, ("", "", "/click", "/click"), strict=True):
    own = models[row[1]]
    for cell, k in zip(row[2:4], (3, 6), strict=True):
      key = f"recall@{k}{group}"
      low, high, hits = (own[f"{key}:{end}"] for end in ("low", "high", "hits"))
      assert cell == f"{own[key]:.4f} ({low:.4f} to {high:.4f}; {hits:,})"
    assert row[4] == f"{own[f'ndcg@3{group}']:.4f}"
  # Both means are stated: one is over targets and one over users.
  assert "fraction of the targets" in table
  assert "mean over users" in table


def test_models_that_generate_vectors_have_unordered_recall():
  models = {"ours": {"unordered_recall@10": 0.25, "vectors": 7}, "theirs": {}}
  assert cells(text.neighbours(models)) == [
    ["model", "unordered_recall@10", "vectors"],
    ["ours", "0.2500", "7"],
  ]


def test_repeats_are_named_by_outcome_with_the_filter_that_suits():
  found = repeats.Repeats(
    {"": 200, "click": 150, "buy": 50, "like": 0},
    {"": 80, "click": 30, "buy": 50, "like": 0},
  )
  assert text.repeats(found) == (
    "40.0 % of the engagements are repeats: the user engaged with the item "
    "before (click 20.0 %, buy 100.0 %). index.filter_seen=nothing suits this "
    "log, and auto chooses it"
  )


SWEEP = [
  {
    "budget/a": 1.0, "budget/b": 0.0, "rate/a": 0.02, "rate/b": 0.0,
    "hits/a": 20, "hits/b": 0, "recall": 0.5, "recall:low": 0.25,
    "recall:high": 0.75, "recall:hits": 5,
  },
  {
    "budget/a": 0.25, "budget/b": 0.75, "rate/a": 0.01, "rate/b": 0.001,
    "hits/a": 10, "hits/b": 1, "recall": math.nan, "recall:low": math.nan,
    "recall:high": math.nan, "recall:hits": 0,
  },
]  # fmt: skip


def test_a_sweep_is_in_percent_with_its_counts():
  table = text.sweep(SWEEP, 100)
  assert table.startswith("budget sweep, 100 candidates per user (")
  head, *rows = cells(table)
  assert head == [
    "budget a", "budget b", "acted on: a", "acted on: b", "recall@100",
  ]  # fmt: skip
  assert rows == [
    [
      "100 %",
      "0 %",
      "2.000 % (20)",
      "0.000 % (0)",
      "0.5000 (0.2500 to 0.7500; 5)",
    ],
    ["25 %", "75 %", "1.000 % (10)", "0.100 % (1)", "nan (nan to nan; 0)"],
  ]


def test_a_sweep_says_how_well_it_steers():
  figures = {"unchanged": 0.02, "same_items": 0.5, "share_error": 0.004}
  for there, trades in (("b", 1), ("c", 0)):
    key = f"working_range/{'a' if trades else 'b'}/{there}"
    figures |= {f"{key}:low": 0.2, f"{key}:high": 0.7, f"{key}:trades": trades}
  assert text.steering(figures, ["a", "b", "c"]).splitlines() == [
    "unchanged lists between neighbouring budgets: at most 2.0 % of the users; "
    "same items in any order: at most 50.0 %",
    "largest difference between asked and achieved share: 0.4 points",
    "working range from a to b: 20 to 70 % b; more b costs a, and outside one "
    "of them is lost",
    "working range from b to c: 20 to 70 % c; both are level with their best, "
    "so there is no trade-off",
  ]


def test_statistics_are_grouped():
  table = text.statistics({"users": 1200, "gap/p50": 2.25, "gap/mean": 7})
  lines = [line.split("|")[1:3] for line in table.splitlines()[2:]]
  assert [[cell.strip() for cell in line] for line in lines] == [
    ["users", "1,200"],
    ["gap", "p50 2.2, mean 7"],
  ]


def test_examples_are_sentences():
  one = reports.Example(
    user="u7", engagements=9, history=[1, 2], targets=[5],
    lists={"click": [3, 4], "save": []},
  )  # fmt: skip
  assert text.examples([one, one]).splitlines() == 2 * [
    "user u7 has 9 engagements. Last items: 1 2. Next items: 5.",
    "  candidates for click: 3 4",
    "  candidates for save: ",
  ]
