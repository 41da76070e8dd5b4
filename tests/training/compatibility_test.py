import copy
import dataclasses
import json

import pytest

from pinrec_jax.training import compatibility


def _apart(config, known, change, other=None):
  """Returns what differs once a configuration, or a catalog, is changed."""
  saved = json.loads(json.dumps(compatibility.network(config, known)))
  config = copy.deepcopy(config)
  change(config)
  return compatibility.differences(
    saved, compatibility.network(config, other or known), ()
  )


@pytest.mark.parametrize(
  ("section", "field", "value", "told"),
  [
    ("data", "days_back", 3, "data.split_shift_days is 0 there and 3 here"),
    ("data", "held_out", 3, "data.held_out_events is 1 there and 3 here"),
    (
      "data",
      "withheld",
      0.1,
      "data.cold_item_fraction is 0.0 there and 0.1 here",
    ),
    ("model", "width", 32, "model.hidden_dim is 16 there and 32 here"),
    (
      "train",
      "refit",
      True,
      "train.train_on_validation is False there and True here",
    ),
    ("loss", "counts", "sketch", "loss.counts is 'exact' there and 'sketch'"),
  ],
)
def test_what_has_to_agree_is_named(brief, world, section, field, value, told):
  found = _apart(
    brief, world.catalog,
    lambda config: setattr(getattr(config, section), field, value),
  )  # fmt: skip
  assert found[0].startswith(told)


@pytest.mark.parametrize("field", ["validation_from", "test_from"])
def test_where_a_log_is_split_has_to_agree(brief, world, field):
  def change(config):
    setattr(config.data.custom, field, "2022-05-01")

  (found,) = _apart(brief, world.catalog, change)
  assert found == f"data.custom.{field} is None there and '2022-05-01' here"
  change(brief)
  (found,) = _apart(
    brief, world.catalog,
    lambda config: setattr(config.data.custom, field, "2022-05-02"),
  )  # fmt: skip
  assert found.startswith(f"data.custom.{field} is '2022-05-01' there and")


@pytest.mark.parametrize("field", ["sketch_rows", "sketch_columns"])
def test_a_sketch_has_to_be_as_large(brief, world, field):
  def change(config):
    setattr(config.loss, field, 8)

  assert not _apart(brief, world.catalog, change)  # there is none
  brief.loss.counts = "sketch"
  (found,) = _apart(brief, world.catalog, change)
  assert found.startswith(f"loss.{field} is ")


def test_numbers_have_to_mean_the_same(brief, world):
  """Actions in another order, or categories: every shape is the same."""
  known = world.catalog
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
    config.model.dropout, config.model.remat = 0.5, "inputs"
    config.train.learning_rate = 1.0

  assert not _apart(brief, world.catalog, change)


def test_a_checkpoint_older_than_a_field_did_as_is_usual(brief, world):
  now = json.loads(json.dumps(compatibility.network(brief, world.catalog)))
  saved = {
    key: now[key]
    for key in now
    if key not in ("model.head", *compatibility.SINCE)
  }
  assert not compatibility.differences(saved, now, ())
  brief.model.head = "shift"
  now = compatibility.network(brief, world.catalog)
  (found,) = compatibility.differences(saved, now, ())
  assert found == "model.head is 'mlp' there and 'shift' here"
  assert not compatibility.differences(saved, now, ("model.head",))
