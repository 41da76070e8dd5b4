"""Cold items are absent from training and present in the evaluation."""

import dataclasses

import cold_items
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax import workflows
from pinrec_jax.data import evaluation_cases, schema, splits, statistics
from pinrec_jax.evals import metrics, retrieve
from pinrec_jax.training import training_data


def _held_out(log, number):
  """Returns a log that holds out each user's last engagements."""
  names = dataclasses.replace(
    log.vocabulary, validation_from=0, test_from=0, held_out=number
  )
  catalog = dataclasses.replace(log.catalog, vocabulary=names)
  return dataclasses.replace(log, catalog=catalog)


@pytest.mark.parametrize("by_time", [True, False])
def test_only_the_test_has_events_of_cold_items(world, by_time):
  log = world if by_time else _held_out(world, 1)
  parts = cold_items.split(log, 0.3)
  cold = parts.cold
  assert 0.2 < cold[1:].mean() < 0.4
  assert not cold[schema.NO_ITEM]
  for before, after in zip(log.events, parts.evaluation.events, strict=True):
    cut = splits.before(log.vocabulary, before, "test")
    kept = (np.arange(len(before)) >= cut) | ~cold[before.item]
    for field in dataclasses.fields(before):
      np.testing.assert_array_equal(
        getattr(after, field.name), getattr(before, field.name)[kept]
      )
  assert any(cold[own.item].any() for own in parts.evaluation.events)
  assert statistics.cold_items(parts.evaluation, "test")[cold].all()


@pytest.mark.parametrize("by_time", [True, False])
def test_training_has_the_same_events_without_the_cold_items(world, by_time):
  log = world if by_time else _held_out(world, 1)
  parts = cold_items.split(log, 0.3)
  names, ids = log.vocabulary, log.items.ids
  assert set(parts.training.items.ids) == set(ids[~parts.cold])
  for split in splits.SPLITS:
    for own, whole in zip(
      parts.training.events, parts.evaluation.events, strict=True
    ):
      trained, past = (
        splits.past(names, events, split) for events in (own, whole)
      )
      assert (trained.item > 0).all()
      np.testing.assert_array_equal(
        parts.training.items.ids[trained.item], ids[past.item]
      )
  before = evaluation_cases.cases(parts.evaluation, "validation")
  after = evaluation_cases.cases(parts.training, "validation")
  assert [case.user for case in after] == [case.user for case in before]


def test_cold_items_are_no_negatives(world, brief):
  parts = cold_items.split(world, 0.3)
  _, corpus = training_data.packed(brief, parts.training)
  assert len(corpus.frequencies.target) == np.count_nonzero(~parts.cold)


@pytest.mark.parametrize("held", [1, 2])
def test_a_user_with_too_few_engagements_left_is_trained_on_only(world, held):
  """Otherwise a cold item in the last engagement would be trained on."""
  short = []
  for events in world.events:
    engaged = np.flatnonzero(events.engaged)[: 2 * held + 1]
    short.append(events.where(engaged))
  log = dataclasses.replace(_held_out(world, held), events=short)
  parts = cold_items.split(log, 0.4)
  shorter = 0
  for events in parts.evaluation.events:
    past = splits.past(log.vocabulary, events, "test")
    assert not parts.cold[past.item].any()
    shorter += len(past) == len(events) < 2 * held + 1
  assert shorter


def test_a_larger_fraction_adds_cold_items(world):
  few, more = (cold_items.split(world, share).cold for share in (0.1, 0.5))
  assert few.sum() < more.sum()
  assert more[few].all()


@pytest.mark.slow
def test_lists_of_cold_items_are_the_cold_part_of_the_whole_ranking(
  world, brief, tmp_path
):
  fields = {
    "evals.cutoffs": (2,),
    "decode.budget": "click:1",
    "evals.sweep": (),
    "index.filter_seen": "nothing",
    "index.kind": "exact",
  }
  config = config_lib.replace(brief, **fields)
  parts = cold_items.split(world, 0.5)
  workflows.train(config, tmp_path, parts.training)
  found = workflows.retriever(config, tmp_path, parts.evaluation)
  figures, sums = cold_items.measure(config, tmp_path, parts, found)

  cases = evaluation_cases.cases(parts.evaluation, "test")
  whole = retrieve.retrieve(
    found,
    cases,
    found.reader.defaults().ask,
    size=len(found.bundle.candidates),
    batch_size=config.evals.batch_size,
    quiet=True,
  ).items
  targets, cold = metrics.targets(cases), parts.cold
  wanted = cold[targets.item]
  for key, lists in (
    ("recall@2/cold_items", whole[:, :2]),
    ("recall@2/cold_only", np.stack([row[cold[row]][:2] for row in whole])),
  ):
    hits = metrics.found(lists, targets, 2)
    assert figures[key] == metrics.recall(hits, wanted)
    aimed = np.bincount(targets.user[wanted], minlength=len(cases))
    assert sums[key].total.tolist() == aimed.tolist()
    assert abs(sums[key].ratio() - figures[key]) < 1e-12
  assert (aimed == 0).any()
  assert 0 < figures["recall@2/cold_only"] < 1
  candidate = parts.evaluation.items.candidate
  assert figures["cold_candidates"] == np.count_nonzero(candidate & cold)
  none = parts._replace(cold=np.zeros_like(cold))
  figures, sums = cold_items.measure(config, tmp_path, none, found)
  assert np.isnan(figures["recall@2/cold_only"])
  assert not sums
