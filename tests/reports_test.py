"""Typed reports and their flat figures."""

import dataclasses
import math

from pinrec_jax import reports

TRAINED = reports.TrainReport(
  parameters=7, filled=0.5, inherited_step=None, filter_seen="nothing",
  best_step=3, last_step=4, train_seconds=2.0, train_tokens_per_s=10.0,
)  # fmt: skip
INDEXED = reports.IndexReport("abc", "exact", 5, 0.25, None)
EVALUATED = reports.EvaluateReport(
  models={
    "PinRec-OC": {"recall@3": 0.5},
    "PinRec-UC": {"recall@3": 0.25},
    "oracle time": {"recall@3": 0.75},
    "popularity": {"recall@3": math.nan},
    "recent popularity": {"recall@3": 0.1},
    "last items": {"recall@3": 0.2},
    "co-occurrence": {"recall@3": 0.3},
  },
  sweep=[{"budget/click": 1.0, "recall": 0.5}],
  users=3,
  targets=4,
  group_targets={"new": 1},
  outcome_targets={"click": 2},
  filter_seen="nothing",
  beats_baselines=True,
  verdict="It wins.",
)


def test_training_has_no_speed_if_it_was_finished_before():
  figures = TRAINED.figures()
  assert figures["train_seconds"] == 2
  assert "inherited_step" not in figures
  again = dataclasses.replace(TRAINED, train_seconds=0.0, inherited_step=4)
  assert again.figures() == {
    "parameters": 7, "filled": 0.5, "inherited_step": 4,
    "filter_seen": "nothing", "best_step": 3, "last_step": 4,
  }  # fmt: skip


def test_the_recall_of_scann_is_absent_for_the_exact_index():
  assert "scann_recall@100" not in INDEXED.figures()
  scann = reports.IndexReport("abc", "scann", 5, 0.25, 0.99).figures()
  assert scann["scann_recall@100"] == 0.99
  assert "recall" not in scann


def test_every_model_but_the_first_has_a_prefix():
  figures = EVALUATED.figures()
  assert figures["recall@3"] == 0.5
  assert figures["uc_recall@3"] == 0.25
  assert figures["oracle_time_recall@3"] == 0.75
  assert math.isnan(float(figures["popularity_recall@3"]))
  assert figures["sweep/0/budget/click"] == 1
  assert figures["test_users"] == 3
  assert figures["test_targets/new_items"] == 1
  assert figures["test_targets/click"] == 2
  assert figures["recent_popularity_recall@3"] == 0.1
  assert figures["last_items_recall@3"] == 0.2
  assert figures["co_occurrence_recall@3"] == 0.3


def test_the_choice_and_the_verdict_are_figures():
  figures = EVALUATED.figures()
  assert figures["filter_seen"] == "nothing"
  assert figures["beats_baselines"] is True
  assert figures["verdict"] == "It wins."


def test_a_demo_has_the_figures_of_its_parts():
  demo = reports.DemoReport(TRAINED, None, INDEXED, EVALUATED, 9.0)
  assert demo.figures() == {
    **TRAINED.figures(), **INDEXED.figures(), **EVALUATED.figures(),
    "seconds": 9.0,
  }  # fmt: skip
