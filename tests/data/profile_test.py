"""Values that follow the log, and values that do not."""

import dataclasses

import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax import validation
from pinrec_jax.data import profile, repeats


@pytest.fixture
def following():
  """Returns a configuration that leaves everything to the log."""
  config = config_lib.Config()
  return config_lib.replace(config, **profile.OPEN)


def test_nothing_open_is_left_and_all_else_stays(following, world):
  validation.validate(following)
  assert profile.open_fields(following) == [*profile.OPEN]
  found = profile.follow(following, world)
  assert profile.open_fields(found) == []
  validation.validate(found)
  back = config_lib.replace(found, **profile.OPEN)
  assert back == following


def test_a_configuration_without_open_values_is_returned_as_it_is(
  world, monkeypatch
):
  config = config_lib.Config(index=config_lib.Index(filter_seen="nothing"))

  def fail(_):
    raise AssertionError("the log was read")

  monkeypatch.setattr(repeats, "of_dataset", fail)
  monkeypatch.setattr(profile.statistics, "training_engagements", fail)
  assert profile.follow(config, world) is config


@pytest.mark.parametrize(
  ("path", "value"),
  [
    ("index.filter_seen", "exposures"),
    ("evals.sweep", ("like",)),
    ("model.hidden_dim", 24),
    ("train.batch_size", 3),
    ("train.steps", 77),
    ("train.eval_every", 5),
  ],
)
def test_a_given_value_is_kept(following, world, path, value):
  config = config_lib.replace(following, **{path: value})
  found = profile.follow(config, world)
  assert profile.value(found, path) == value
  if path == "train.steps":
    assert found.train.eval_every == 77 // profile.VALIDATIONS


def test_the_filter_is_the_one_that_suits_the_log(following, world):
  suits = repeats.of_dataset(world).filter_seen
  assert profile.follow(following, world).index.filter_seen == suits
  once = [events.where(slice(5)) for events in world.events]
  few = dataclasses.replace(world, events=once)
  assert repeats.of_dataset(few).filter_seen == "engagements"
  assert profile.follow(following, few).index.filter_seen == "engagements"


def test_the_sweep_has_the_outcomes_of_training(following, world):
  assert profile.follow(following, world).evals.sweep == (
    "click", "save", "like",
  )  # fmt: skip
  no_likes = [
    dataclasses.replace(
      own, actions=own.actions * np.array([1, 1, 0, 1], np.uint8)
    )
    for own in world.events
  ]
  some = dataclasses.replace(world, events=no_likes)
  assert profile.follow(following, some).evals.sweep == ("click", "save")
  plain = config_lib.replace(following, **{"model.conditioned": False})
  assert profile.follow(plain, world).evals.sweep == ()


def test_a_larger_log_gets_a_larger_model_and_more_steps(
  following, world, monkeypatch
):
  found = []
  for engagements in (100, 50_000, 10_000_000):
    monkeypatch.setattr(
      profile.statistics, "training_engagements", lambda _, n=engagements: n
    )
    config = profile.follow(following, world)
    found.append(
      (config.model.hidden_dim, config.train.batch_size, config.train.steps)
    )
  assert found == [(32, 16, 400), (64, 32, 2443), (128, 64, 20_000)]


def test_the_table_has_room_for_all_items(following, world):
  assert profile.follow(following, world).model.table_size == 512
  ids = world.items._replace(ids=world.items.ids.repeat(100))
  catalog = dataclasses.replace(world.catalog, items=ids)
  large = dataclasses.replace(world, catalog=catalog)
  assert profile.follow(following, large).model.table_size == 4096
