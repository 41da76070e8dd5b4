import copy
import dataclasses
import json

import pytest

from pinrec_jax.training import fits


def _apart(config, known, change, other=None):
  """Returns what differs once a configuration, or a catalogue, is changed."""
  saved = json.loads(json.dumps(fits.network(config, known)))
  config = copy.deepcopy(config)
  change(config)
  return fits.differences(saved, fits.network(config, other or known), ())


@pytest.mark.parametrize(
  ("section", "field", "value", "told"),
  [
    ("data", "days_back", 3, "data.days_back is 0 there and 3 here"),
    ("data", "held_out", 3, "data.held_out is 1 there and 3 here"),
    ("data", "withheld", 0.1, "data.withheld is 0.0 there and 0.1 here"),
    ("model", "width", 32, "model.width is 16 there and 32 here"),
    ("train", "refit", True, "train.refit is False there and True here"),
    ("loss", "counts", "sketch", "loss.counts is 'exact' there and 'sketch'"),
  ],
)
def test_what_has_to_agree_is_named(brief, world, section, field, value, told):
  found = _apart(
    brief, world.catalogue,
    lambda config: setattr(getattr(config, section), field, value),
  )  # fmt: skip
  assert found[0].startswith(told)


@pytest.mark.parametrize("field", ["validation_from", "test_from"])
def test_where_a_log_is_split_has_to_agree(brief, world, field):
  def change(config):
    setattr(config.data.own, field, "2022-05-01")

  (found,) = _apart(brief, world.catalogue, change)
  assert found == f"data.own.{field} is None there and '2022-05-01' here"
  change(brief)
  (found,) = _apart(
    brief, world.catalogue,
    lambda config: setattr(config.data.own, field, "2022-05-02"),
  )  # fmt: skip
  assert found.startswith(f"data.own.{field} is '2022-05-01' there and")


@pytest.mark.parametrize("field", ["sketch_rows", "sketch_columns"])
def test_a_sketch_has_to_be_as_large(brief, world, field):
  def change(config):
    setattr(config.loss, field, 8)

  assert not _apart(brief, world.catalogue, change)  # there is none
  brief.loss.counts = "sketch"
  (found,) = _apart(brief, world.catalogue, change)
  assert found.startswith(f"loss.{field} is ")


def test_numbers_have_to_mean_the_same(brief, world):
  """Actions in another order, or categories: every shape is the same."""
  known = world.catalogue
  first, second, *others = known.vocabulary.actions
  swapped = dataclasses.replace(
    known,
    vocabulary=dataclasses.replace(
      known.vocabulary, actions=(second, first, *others)
    ),
  )
  (found,) = _apart(brief, known, lambda config: None, swapped)
  assert found.startswith("actions is ['click', 'save', 'like', 'hide'] there")
  one, *rest = known.values
  backwards = {one: known.values[one][::-1]} | {
    r: known.values[r] for r in rest
  }
  swapped = dataclasses.replace(known, values=backwards)
  (found,) = _apart(brief, known, lambda config: None, swapped)
  assert found.startswith("items and categories is ")
  items = known.items._replace(ids=known.items.ids[::-1])
  swapped = dataclasses.replace(known, items=items)
  assert _apart(brief, known, lambda config: None, swapped)


def test_what_fits_any_state_need_not_agree(brief, world):
  def change(config):
    config.model.dropout, config.model.keep = 0.5, "inputs"
    config.train.learning_rate = 1.0

  assert not _apart(brief, world.catalogue, change)


def test_a_checkpoint_older_than_a_field_did_as_is_usual(brief, world):
  now = json.loads(json.dumps(fits.network(brief, world.catalogue)))
  saved = {
    key: now[key] for key in now if key not in ("model.head", *fits.SINCE)
  }
  assert not fits.differences(saved, now, ())
  brief.model.head = "shift"
  now = fits.network(brief, world.catalogue)
  (found,) = fits.differences(saved, now, ())
  assert found == "model.head is 'mlp' there and 'shift' here"
  assert not fits.differences(saved, now, ("model.head",))
