"""The verdict on a run, and reasons that are measured."""

import dataclasses

import numpy as np
import pytest

from pinrec_jax import reports
from pinrec_jax.evals import verdict

ENDED = reports.Progress(best_step=40, last_step=50, stale=1)


def figures(recall, ndcg=0.1, spread=0.01):
  return {
    "recall@10": recall,
    "recall@10:low": recall - spread,
    "recall@10:high": recall + spread,
    "recall@10:hits": round(1000 * recall),
    "ndcg@10": ndcg,
  }


def test_a_run_that_beats_every_baseline_says_so():
  models = {
    "PinRec-OC": figures(0.5),
    "PinRec-UC": figures(0.9),
    "popularity": figures(0.1),
    "last items": figures(0.4),
  }
  found = verdict.verdict(models, 10, ["unused"])
  assert found.beats
  assert found.sentence == (
    "PinRec-OC beats all baselines: it has a recall@10 of 0.5000 "
    "(95 % interval 0.4900 to 0.5100, 500 hits), and last items a recall@10 of "
    "0.4000 (95 % interval 0.3900 to 0.4100, 400 hits)"
  )


def test_a_run_that_loses_names_the_baseline_and_the_reasons():
  models = {
    "PinRec-OC": figures(0.2),
    "popularity": figures(0.1),
    "last items": figures(0.4),
    "co-occurrence": figures(0.3),
  }
  found = verdict.verdict(models, 10, ["one", "two"])
  assert not found.beats
  assert found.sentence.startswith("PinRec-OC does not beat last items: it has")
  assert found.sentence.endswith("; likely reasons: one; two")
  assert "none was measured" in verdict.verdict(models, 10, []).sentence


def test_an_uncertain_lead_is_called_one():
  models = {"PinRec-OC": figures(0.5), "popularity": figures(0.49)}
  found = verdict.verdict(models, 10, [])
  assert found.beats
  assert found.sentence.endswith("the 95 % intervals overlap")


@pytest.mark.parametrize(("ndcg", "beats"), [(0.3, True), (0.2, False)])
def test_ndcg_decides_between_equal_recalls(ndcg, beats):
  models = {"PinRec-OC": figures(0.5, ndcg), "last items": figures(0.5, 0.2)}
  found = verdict.verdict(models, 10, [])
  assert found.beats == beats
  assert f"its ndcg@10 is {ndcg:.4f}, and 0.2000" in found.sentence


@pytest.fixture
def found_reasons(small, world, cases):
  """Returns the function from changes to the reasons, as one text."""

  def of(progress=ENDED, cases=cases):
    return "; ".join(verdict.reasons(small, world, cases, progress))

  small.train.batch_size = 1000  # Many passes over the log.
  return of


def test_repeats_that_the_filter_hides_are_a_reason(
  small, cases, found_reasons
):
  hidden = np.concatenate(
    [np.isin(c.targets.item, c.past.item[c.past.engaged]) for c in cases]
  ).mean()
  assert hidden > 0.05
  small.index.filter_seen = "engagements"
  assert (
    f"{hidden:.1%} of the targets are items that index.filter_seen=engagements "
    "leaves out of the list"
  ) in found_reasons()
  small.index.filter_seen = "nothing"
  assert "leaves out" not in found_reasons()


def test_targets_that_training_does_not_know_are_a_reason(
  world, cases, found_reasons
):
  assert "without an engagement" not in found_reasons()
  new = []
  for n, case in enumerate(cases):
    item = np.full_like(case.targets.item, 28 if n % 2 else 1)
    targets = dataclasses.replace(case.targets, item=item)
    new.append(dataclasses.replace(case, targets=targets))
  known = {
    int(item)
    for events in world.events
    for item in events.item[
      events.engaged & (events.time < world.vocabulary.validation_from)
    ]
  }
  items = np.concatenate([case.targets.item for case in new])
  unknown = np.mean([item not in known for item in items.tolist()])
  text = f"{unknown:.1%} of the targets are items without an engagement"
  assert (text in found_reasons(cases=new)) == (unknown >= 0.05)


def test_too_short_a_training_is_a_reason(small, world, found_reasons):
  assert "training read the log" not in found_reasons()
  small.train.batch_size = 1
  assert "training read the log at most " in found_reasons()


def test_a_validation_that_still_rises_is_a_reason(small, found_reasons):
  text = "validation was still rising at the last step, 50"
  rising = reports.Progress(best_step=50, last_step=50, stale=0)
  assert text in found_reasons(rising)
  assert text not in found_reasons()
  small.train.train_on_validation = True
  assert text not in found_reasons(rising)
