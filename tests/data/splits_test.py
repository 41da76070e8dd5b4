"""Where a log is cut, and what its configuration moves."""

import dataclasses

import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib, statistics
from pinrec_jax.data import evaluation_cases, schema, splits


@pytest.fixture
def config(raw, tmp_path):
  return config_lib.Data(
    source=str(raw("mini")), prepared_dir=str(tmp_path / "prepared")
  )


def test_an_event_at_the_cut_is_not_before_it(world):
  events = world.events[5]
  cut = dataclasses.replace(world.vocabulary, test_from=int(events.time[9]))
  assert splits.before(cut, events, "test") == 9
  later = dataclasses.replace(cut, test_from=cut.test_from + 1)
  assert splits.before(later, events, "test") == 10


def test_a_split_moved_back_leaves_out_what_comes_after(config):
  whole = dataset_lib.load(config)
  config.days_back = 2
  moved = dataset_lib.load(config)
  was, now = whole.vocabulary, moved.vocabulary
  assert now.test_from == was.test_from - 2 * 86400
  assert now.validation_from == was.validation_from - 2 * 86400
  assert moved.folder == whole.folder  # it is not prepared anew
  left_out = 0
  for before, after in zip(whole.events, moved.events, strict=True):
    earlier = before.time < was.test_from
    np.testing.assert_array_equal(after.item, before.item[earlier])
    np.testing.assert_array_equal(after.time, before.time[earlier])
    left_out += len(before) - len(after)
  assert left_out


def test_a_split_by_time_holds_out_no_number_of_engagements(config):
  config.held_out = 4
  with pytest.raises(ValueError, match="held_out is 4, and this log is split"):
    dataset_lib.load(config)
  config.name = "synthetic"
  config.synthetic.users, config.synthetic.items = 20, 100
  assert dataset_lib.load(config).vocabulary.held_out == 4


def test_a_split_by_place_cannot_be_moved_back(config):
  config.name, config.days_back = "synthetic", 1
  with pytest.raises(ValueError, match="days_back is 1, and each user's last"):
    dataset_lib.load(config)


def _withheld(log, share):
  """Returns which items are withheld, and the log without them."""
  config = config_lib.Data(cold_item_fraction=share)
  known, events = splits.changed(log.catalog, log.events, config)
  assert known is log.catalog
  changed = dataclasses.replace(log, events=events)
  drawn = splits.withheld(log.catalog, config)
  assert drawn is not None
  return drawn, changed


@pytest.mark.parametrize("by_time", [True, False])
def test_items_withheld_are_met_in_the_test_alone(world, by_time):
  if not by_time:
    names = dataclasses.replace(
      world.vocabulary, validation_from=0, test_from=0
    )
    known = dataclasses.replace(world.catalog, vocabulary=names)
    world = dataclasses.replace(world, catalog=known)
  drawn, changed = _withheld(world, 0.3)
  assert 0.2 < drawn[1:].mean() < 0.4
  assert not drawn[schema.NO_ITEM]
  met = 0
  for before, after in zip(world.events, changed.events, strict=True):
    cut = splits.before(world.vocabulary, before, "test")
    kept = [
      n
      for n, item in enumerate(before.item.tolist())
      if n >= cut or not drawn[item]
    ]
    for field in dataclasses.fields(before):
      np.testing.assert_array_equal(
        getattr(after, field.name), getattr(before, field.name)[kept]
      )
    past = splits.past(world.vocabulary, after, "test")
    assert not drawn[past.item].any()
    met += int(drawn[after.item].sum())
  assert met
  assert statistics.cold_items(changed, "test")[drawn].all()


@pytest.mark.parametrize("held", [1, 2])
def test_who_is_left_with_too_few_is_not_tested_on_what_is_withheld(
  world, held
):
  """Else the last engagement would be trained on, withheld or not."""
  names = dataclasses.replace(
    world.vocabulary, validation_from=0, test_from=0, held_out=held
  )
  known = dataclasses.replace(world.catalog, vocabulary=names)
  short = []
  for events in world.events:
    engaged = np.flatnonzero(events.engaged)[: 2 * held + 1]
    short.append(events.where(engaged))
  log = dataclasses.replace(world, catalog=known, events=short)
  drawn, changed = _withheld(log, 0.4)
  shorter = 0
  for events in changed.events:
    past = splits.past(names, events, "test")
    assert not drawn[past.item].any()
    shorter += len(past) == len(events) < 2 * held + 1
  assert shorter


def test_as_many_items_are_withheld_as_are_wanted(world):
  few, more = (_withheld(world, share)[0] for share in (0.1, 0.5))
  assert few.sum() < more.sum()
  assert more[few].all()  # the same come first


def test_withheld_items_are_the_targets_of_a_test_on_new_ones(config):
  """By the configuration, as a run reads it."""
  config.name, config.withheld = "synthetic", 0.2
  config.synthetic.users, config.synthetic.items = 60, 100
  log = dataset_lib.load(config)
  new = statistics.item_groups(log, "test")["new"]
  targets = np.concatenate(
    [c.targets.item for c in evaluation_cases.cases(log, "test")]
  )
  assert 0.05 < new[targets].mean() < 0.5
  validated = evaluation_cases.cases(log, "validation")
  assert not new[np.concatenate([c.targets.item for c in validated])].any()
