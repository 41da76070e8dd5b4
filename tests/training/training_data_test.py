import dataclasses

import jax
import numpy as np
import pandas as pd
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import dataset as dataset_lib
from pinrec_jax.data import (
  evaluation_cases,
  histories,
  packing,
  pipeline,
  schema,
  statistics,
  store,
)
from pinrec_jax.model import pinrec
from pinrec_jax.training import optimizer, training_data
from pinrec_jax.training import state as state_lib
from pinrec_jax.training import step as step_lib


def test_frequencies_count_the_predicted_targets_alone(world, small):
  aim = world.vocabulary.aim("search", "save,like")
  world = dataclasses.replace(world, aim=aim)
  rows, corpus = training_data.packed(small, world)
  surface = world.vocabulary.surface("search")
  counts = np.zeros(len(world.items.ids))
  for events in world.events:
    chosen = events.engaged & (events.time < world.vocabulary.validation_from)
    chosen &= (events.surface == surface) & events.actions[:, 1:3].any(-1)
    np.add.at(counts, events.item[chosen], 1)
  np.testing.assert_allclose(
    corpus.frequencies.target, counts / counts.sum(), rtol=1e-6
  )
  seen = 0
  for n in range(len(rows)):
    tokens, targets = rows[n]
    wanted = targets.item > 0
    assert (targets.surface[wanted] == surface).all()
    assert not targets.outcomes[:, 0].any()
    seen += wanted.sum()
    # The history has all other engagements, too.
    assert (tokens.segment > 0).sum() > wanted.sum()
  assert seen == counts.sum()


def test_a_log_that_starts_after_its_split_is_refused(world, small):
  late = dataclasses.replace(world.vocabulary, validation_from=1)
  known = dataclasses.replace(world.catalog, vocabulary=late)
  events = [e.where(e.time > 0) for e in world.events]
  world = dataclasses.replace(world, catalog=known, events=events)
  with pytest.raises(ValueError, match="no engagement before its validation"):
    training_data.packed(small, world)


def test_a_surface_without_engagements_is_refused(world, small):
  names = dataclasses.replace(
    world.vocabulary, surfaces=(*world.vocabulary.surfaces, "mail")
  )
  known = dataclasses.replace(world.catalog, vocabulary=names)
  aim = names.aim("mail", "")
  world = dataclasses.replace(world, catalog=known, aim=aim)
  small.data.target_surface = "mail"
  with pytest.raises(ValueError, match=r"no engagement .*surface='mail'"):
    training_data.packed(small, world)


@pytest.mark.parametrize("where", ["outcomes", "budget"])
def test_an_outcome_without_training_targets_is_refused(world, small, where):
  events = tuple(
    dataclasses.replace(e, actions=e.actions * np.array([1, 1, 0, 1], np.uint8))
    for e in world.events
  )
  world = dataclasses.replace(world, events=events)
  training_data.packed(small, world)
  if where == "outcomes":
    small.data.target_outcomes = "click,like"
  else:
    small.decode.budget = "click:0.5,like:0.5"
  with pytest.raises(ValueError, match="has the outcome 'like'; remove it"):
    training_data.packed(small, world)


@pytest.mark.parametrize("where", ["outcomes", "budget"])
def test_an_outcome_may_have_a_colon_in_its_name(world, small, where):
  counts = np.array([3, 0])
  if where == "outcomes":
    small.data.target_outcomes = "save, video:play"
  else:
    small.decode.budget = "save:0.5, video:play:0.5"
  with pytest.raises(ValueError, match="has the outcome 'video:play'"):
    training_data._require_outcomes(small, ("save", "video:play"), counts)
  training_data._require_outcomes(small, ("video:play", "video"), counts)


def scrambled(events, first, rng, *, by_time):
  """Returns events that are random from a place on, in order of time.

  If the split depends on which events are engagements, that stays.
  """
  left = len(events) - first
  actions = rng.integers(0, 2, (left, 4), np.uint8)
  engaged = actions[:, :3].any(-1)
  if not by_time:
    engaged = events.engaged[first:]
  later = dataclasses.replace(
    events.where(slice(first, None)),
    item=rng.integers(1, 31, left, np.int32),
    actions=actions,
    surface=rng.integers(0, 3, left, np.int32),
    time=events.time[first:] + np.sort(rng.integers(0, 10**6, left)),
    session=rng.integers(-1, 3, left, np.int32),
    engaged=engaged,
    context=~engaged & (rng.random(left) < 0.3),
  )
  return schema.Events(
    **{
      name: np.concatenate([getattr(events, name)[:first], column])
      for name, column in vars(later).items()
    }
  )


def assert_equal(one, other):
  for left, right in zip(
    jax.tree.leaves(one), jax.tree.leaves(other), strict=True
  ):
    np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("train_on_validation", [False, True])
@pytest.mark.parametrize("by_time", [True, False])
@pytest.mark.parametrize("history_events", ["engagements", "exposures"])
@pytest.mark.parametrize("seed", range(2))
def test_events_after_the_training_period_change_nothing(
  world, small, history_events, by_time, train_on_validation, seed
):
  small.data.history_events = history_events
  small.train.train_on_validation = train_on_validation
  split = evaluation_cases.after_training(
    train_on_validation=train_on_validation
  )
  if not by_time:
    names = dataclasses.replace(
      world.vocabulary, validation_from=0, test_from=0
    )
    known = dataclasses.replace(world.catalog, vocabulary=names)
    world = dataclasses.replace(world, catalog=known)
  rng = np.random.default_rng(seed)
  names = world.vocabulary
  start = names.test_from if train_on_validation else names.validation_from
  cut = []  # Computed in another way than the package does.
  for events in world.events:
    engaged = np.flatnonzero(events.engaged)
    if by_time:
      cut.append(sum(time < start for time in events.time.tolist()))
    elif len(engaged) < 3:
      cut.append(len(events))
    else:
      cut.append(int(engaged[-1 if train_on_validation else -2]))
  other = dataclasses.replace(
    world,
    events=tuple(
      scrambled(events, first, rng, by_time=by_time)
      for events, first in zip(world.events, cut, strict=True)
    ),
  )
  assert any(
    len(one) > first and (one.item != new.item).any()
    for one, new, first in zip(world.events, other.events, cut, strict=True)
  )
  (rows, corpus), (again, counted) = (
    training_data.packed(small, log) for log in (world, other)
  )
  assert len(rows) == len(again)
  for n in range(len(rows)):
    assert_equal(rows[n], again[n])
  assert_equal(corpus, counted)
  # The default budget and the cold items do not change either.
  for statistic in (
    statistics.outcome_fractions,
    lambda log: statistics.cold_items(log, split),
  ):
    assert_equal(statistic(world), statistic(other))


@pytest.mark.parametrize(
  ("by_time", "train_on_validation"),
  [
    (True, False),
    pytest.param(False, False, marks=pytest.mark.slow),
    pytest.param(False, True, marks=pytest.mark.slow),
  ],
)
def test_a_step_learns_nothing_from_events_after_the_training_period(
  tmp_path, by_time, train_on_validation
):
  """From the files of a log to the state after a step."""
  rng = np.random.default_rng(0)
  start, day, size = 1_700_000_000, 86_400, 16
  log = pd.DataFrame(
    {
      "user": np.repeat([f"u{n}" for n in range(10)], size),
      "item": rng.integers(0, 20, 10 * size),
      "time": start + np.tile(np.arange(size), 10) * day,
      "action": rng.choice(["click", "save", "impression"], 10 * size),
      "surface": rng.choice(["feed", "search"], 10 * size),
    }
  )
  log["time"] += rng.integers(0, 3600, len(log))
  config = config_lib.Config(
    model=config_lib.Model(
      hidden_dim=8,
      num_layers=1,
      num_heads=2,
      embedding_dim=8,
      table_size=64,
      offset_edges=(),
    ),
    loss=config_lib.Loss(
      in_batch_negatives=8, uniform_negatives=8, impression_negatives=4
    ),
  )
  config.data = config_lib.Data(
    name="custom_log",
    prepared_dir=str(tmp_path / "prepared"),
    history_events="exposures",
    sequence_length=16,
    events=str(tmp_path / "events.csv"),
    items=str(tmp_path / "items.csv"),
  )
  config.data.custom.actions = "click,save"
  config.train.train_on_validation = train_on_validation
  validation, test = start + 10 * day, start + 13 * day
  if by_time:
    config.data.custom.validation_from = str(validation)
    config.data.custom.test_from = str(test)
  pd.DataFrame({"item": np.arange(20), "price": 1}).to_csv(
    config.data.items, index=False
  )
  if by_time:
    after = log["time"] >= (test if train_on_validation else validation)
  else:  # From each user's last engagement, or the one before it.
    log["engaged"] = log["action"] != "impression"
    left = log[::-1].groupby("user")["engaged"].cumsum()[::-1]
    held = 1 if train_on_validation else 2
    after = (left < held) | (left == held) & log.pop("engaged")
  other = log.copy()
  other.loc[after, "item"] = (log["item"] + 7) % 20
  other.loc[after, "time"] = log["time"] + 500
  other.loc[after, "surface"] = "feed"
  other.loc[after, "action"] = log["action"].replace(
    {"click": "save", "save": "click"}
  )
  assert 5 < sum(after) < 100
  found = []
  for table in (log, other):
    table.to_csv(config.data.events, index=False)
    dataset = dataset_lib.load(config.data)
    rows, corpus = training_data.packed(config, dataset)
    model = pinrec.of_config(config, dataset.vocabulary)
    batch = next(pipeline.batches(rows, batch=4, seed=0))
    transform = optimizer.build(config.train)
    corpus = jax.tree.map(jax.numpy.asarray, corpus)
    state, metrics = step_lib.train_step(
      state_lib.create(model, transform), batch, corpus, np.float32(0.01),
      model=model, transform=transform, config=config.loss, seed=0,
    )  # fmt: skip
    assert metrics["gradient_norm"] > 0
    every = [rows[n] for n in range(len(rows))]
    found.append((dataset, (every, corpus, model.edges, metrics, state)))
  (one, trained), (two, retrained) = found
  assert one.folder != two.folder
  assert [e.item.tolist() for e in one.events] != [
    e.item.tolist() for e in two.events
  ]
  assert one.vocabulary == two.vocabulary
  assert_equal(one.items.dense, two.items.dense)
  assert_equal(trained, retrained)


@pytest.fixture
def stored(world, small, tmp_path):
  """A configuration and the log `world`, read from files."""
  store.save(tmp_path, zip(world.users, world.events, strict=True))
  _, events = store.load(tmp_path)
  return small, dataclasses.replace(world, events=events, folder=tmp_path)


def _rows(packed):
  rows, corpus = packed
  return [rows[n] for n in range(len(rows))], corpus


def test_histories_of_a_stored_log_are_packed_once(world, stored, monkeypatch):
  config, log = stored
  expected = _rows(training_data.packed(config, world))
  assert_equal(_rows(training_data.packed(config, log)), expected)
  monkeypatch.setattr(histories, "training", None)
  assert_equal(_rows(training_data.packed(config, log)), expected)


@pytest.mark.parametrize(
  "change",
  [
    lambda c: setattr(c.data, "sequence_length", 16),
    lambda c: setattr(c.data, "history_events", "exposures"),
    lambda c: setattr(c.train, "train_on_validation", True),
  ],
)
def test_another_way_of_reading_is_packed_anew(world, stored, change):
  config, log = stored
  before = _rows(training_data.packed(config, log))
  change(config)
  found = _rows(training_data.packed(config, log))
  assert_equal(found, _rows(training_data.packed(config, world)))
  assert any(
    not np.array_equal(one, other)
    for one, other in zip(
      jax.tree.leaves(before[0]), jax.tree.leaves(found[0]), strict=False
    )
  )


def test_damaged_packed_histories_are_written_again(world, stored, capsys):
  config, log = stored
  training_data.packed(config, log)
  (path,) = log.folder.glob(f"{training_data.FOLDER}/*/{packing.COUNTS}")
  path.write_bytes(b"x")
  found = _rows(training_data.packed(config, log))
  assert_equal(found, _rows(training_data.packed(config, world)))
  assert "is written again" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_left_alone(world, stored):
  config, log = stored
  (log.folder / training_data.FOLDER).write_text("in the way")
  found = _rows(training_data.packed(config, log))
  assert_equal(found, _rows(training_data.packed(config, world)))
