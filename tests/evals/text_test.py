"""Reports as text: aligned tables with the figures as they are."""

import itertools
import math

from pinrec_jax import reports
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


def test_recalls_of_models_stand_side_by_side():
  keys = [
    f"{metric}@{k}{group}"
    for k in (3, 6)
    for metric in ("recall", "ndcg")
    for group in ("", "/click")
  ]
  values = itertools.count(1)
  models = {
    name: {key: next(values) / 1000 for key in keys}
    for name in ("ours", "theirs")
  }
  models["ours"] |= {"unordered_recall@10": 0.25, "vectors": 7}
  models["theirs"] |= {"vectors": 1}
  table = text.recalls(models, ["click"], [3, 6])
  head, *rows = cells(table)
  assert head == ["list of k items", "ours", "theirs"]
  assert rows[:8] == [
    [key, *(f"{own[key]:.4f}" for own in models.values())] for key in keys
  ]
  # A figure that a model lacks stays empty.
  assert rows[8:] == [
    ["unordered_recall@10", "0.25", ""],
    ["vectors", "7", "1"],
  ]
  # Both means are stated: one is over targets and one over users.
  note = table.splitlines()[-1]
  assert "fraction of all targets" in note
  assert "mean over users" in note


SWEEP = [
  {
    "budget/a": 1.0, "budget/b": 0.0, "rate/a": 0.02, "rate/b": 0.0,
    "hits/a": 20, "hits/b": 0, "recall": 0.5,
  },
  {
    "budget/a": 0.25, "budget/b": 0.75, "rate/a": 0.01, "rate/b": 0.001,
    "hits/a": 10, "hits/b": 1, "recall": math.nan,
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
    ["100 %", "0 %", "2.000 % (20)", "0.000 % (0)", "0.5000"],
    ["25 %", "75 %", "1.000 % (10)", "0.100 % (1)", "nan"],
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
