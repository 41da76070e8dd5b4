import copy
import dataclasses
import json

import numpy as np
import pytest

from pinrec_jax.data import schema
from pinrec_jax.model import backbone
from pinrec_jax.training import compatibility


def _differences(config, catalog, change=lambda config: None, other=None):
  """Returns what differs after a change of the configuration or catalog."""
  saved = json.loads(json.dumps(compatibility.network(config, catalog)))
  config = copy.deepcopy(config)
  change(config)
  return compatibility.differences(
    saved, compatibility.network(config, other or catalog)
  )


@pytest.mark.parametrize(
  ("section", "field", "value", "expected"),
  [
    ("data", "name", "other", "data.name is 'kuairand/mini' there and 'other'"),
    ("data", "split_shift_days", 3, "split_shift_days is 0 there and 3 here"),
    ("data", "held_out_events", 3, "data.held_out_events is 1 there and 3"),
    ("data", "history_events", "exposures", "is 'engagements' there and 'exp"),
    ("model", "hidden_dim", 32, "model.hidden_dim is 16 there and 32 here"),
    ("model", "head", "shift", "model.head is 'mlp' there and 'shift' here"),
    ("train", "train_on_validation", True, "is False there and True here"),
    ("train", "table_optimizer", "adagrad", "Adagrad is False there and True"),
  ],
)
def test_a_field_that_must_agree_is_named_with_both_values(
  brief, world, section, field, value, expected
):
  found = _differences(
    brief, world.catalog,
    lambda config: setattr(getattr(config, section), field, value),
  )  # fmt: skip
  assert expected in found
  assert ";" not in found


@pytest.mark.parametrize("field", ["validation_from", "test_from"])
def test_the_split_of_the_log_must_agree(brief, world, field):
  found = _differences(
    brief, world.catalog,
    lambda config: setattr(config.data.custom, field, "2022-05-01"),
  )  # fmt: skip
  assert found == f"data.custom.{field} is '' there and '2022-05-01' here"


def _with_names(catalog, **names):
  return dataclasses.replace(
    catalog, vocabulary=dataclasses.replace(catalog.vocabulary, **names)
  )


def test_every_index_must_keep_its_meaning(brief, world):
  """Also if all shapes stay the same."""
  catalog = world.catalog
  names = catalog.vocabulary
  for field, label in (
    ("actions", "actions"),
    ("surfaces", "surfaces"),
    ("item_types", "item types"),
  ):
    first, second, *others = getattr(names, field)
    swapped = _with_names(catalog, **{field: (second, first, *others)})
    found = _differences(brief, catalog, other=swapped)
    assert found.startswith(f"{label} is [{first!r}, {second!r}")
  swapped = _with_names(catalog, features=names.features[::-1])
  found = _differences(brief, catalog, other=swapped)
  assert found == (
    "item features is ['author', 'tag'] there and ['tag', 'author'] here"
  )
  values = {**catalog.values, "author": catalog.values["author"][::-1]}
  swapped = dataclasses.replace(catalog, values=values)
  found = _differences(brief, catalog, other=swapped)
  assert found.startswith("digest of item feature values is ")


def test_a_log_may_gain_items(brief, world):
  catalog = world.catalog
  more = schema.Items(
    *(np.concatenate([column, column[1:]]) for column in catalog.items)
  )
  larger = dataclasses.replace(catalog, items=more)
  assert not _differences(brief, catalog, other=larger)


def test_fields_that_change_no_parameter_may_differ(brief, world):
  def change(config):
    config.model.dropout, config.model.remat = 0.5, "inputs"
    config.model.dtype = "bfloat16"
    config.train.learning_rate = 1.0
    config.train.table_optimizer = "lazy_adam"
    config.decode.steps = 3

  assert not _differences(brief, world.catalog, change)


def test_the_parameters_of_deep_models_are_stacked(brief, world, monkeypatch):
  saved = compatibility.network(brief, world.catalog)
  assert saved["model.scan_layers"] is False
  monkeypatch.setattr(backbone, "SCANNED_FROM", brief.model.num_layers)
  wanted = compatibility.network(brief, world.catalog)
  found = compatibility.differences(saved, wanted)
  assert found == "model.scan_layers is False there and True here"


def test_names_can_be_ignored(brief, world):
  saved = compatibility.network(brief, world.catalog)
  brief.train.train_on_validation = True
  wanted = compatibility.network(brief, world.catalog)
  assert compatibility.differences(saved, wanted)
  ignoring = ("train.train_on_validation",)
  assert not compatibility.differences(saved, wanted, ignoring)


def test_many_differences_are_counted(brief, world):
  def change(config):
    for field in ("hidden_dim", "num_heads", "num_layers", "table_size"):
      setattr(config.model, field, 2 * getattr(config.model, field))
    config.model.conditioned, config.model.head = False, "shift"
    config.data.sequence_length = 4

  found = _differences(brief, world.catalog, change)
  assert found.count("there and") == compatibility.MAX_LISTED
  assert found.endswith("; 2 more values differ")


def test_another_version_is_one_sentence(brief, world):
  wanted = compatibility.network(brief, world.catalog)
  older = {"items": 6672, "loss.counts": "exact", "model.width": 64}
  for saved in (older, {}, {**wanted, "model.new": 1}):
    found = compatibility.differences(saved, wanted)
    assert found == "another version of pinrec_jax wrote it"


def test_a_checkpoint_of_an_older_format_is_refused(brief, world, monkeypatch):
  wanted = compatibility.network(brief, world.catalog)
  monkeypatch.setattr(compatibility, "FORMAT", compatibility.FORMAT - 1)
  saved = compatibility.network(brief, world.catalog)
  found = compatibility.differences(saved, wanted)
  assert found == "another version of pinrec_jax wrote it"
