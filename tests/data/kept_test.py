"""Figures that are kept beside a prepared log."""

import dataclasses

import numpy as np
import pytest

from pinrec_jax.data import (
  evaluation_cases,
  kept,
  repeats,
  schema,
  splits,
  statistics,
  store,
)


@pytest.fixture
def counted(world, tmp_path):
  """Returns the function that asks for figures, and what was computed."""
  dataset, computed = _on_disk(world, tmp_path), []

  def ask(*depends, **changes):
    def compute():
      computed.append(depends)
      return [len(computed), {"a": 1.5}]

    own = dataclasses.replace(dataset, **changes)
    return kept.once(own, "name", compute, *depends)

  return ask, computed, tmp_path / kept.FOLDER


def _on_disk(world, folder):
  """Returns the log with its events in a folder."""
  store.save(folder, zip(world.users, world.events, strict=True))
  users, events = store.load(folder)
  return dataclasses.replace(world, users=users, events=events, folder=folder)


def test_nothing_is_kept_for_events_in_memory(counted):
  ask, _, folder = counted
  assert ask(events=[])[0] == 1
  assert ask(events=())[0] == 2
  assert not folder.exists()


def test_figures_are_computed_once(counted):
  ask, computed, _ = counted
  assert ask(1) == ask(1) == [1, {"a": 1.5}]
  assert ask(2) == [2, {"a": 1.5}]
  aim = dataclasses.replace(schema.EVERYTHING, surface=0)
  assert ask(1, aim=aim)[0] == 3
  assert ask(1)[0] == 1
  assert len(computed) == 3


def test_damaged_figures_are_computed_again(counted):
  ask, _, folder = counted
  ask()
  (path,) = folder.iterdir()
  path.write_bytes(path.read_bytes().replace(b"1", b"7"))
  assert ask()[0] == 2
  assert ask()[0] == 2


def test_a_folder_that_cannot_be_written_is_left_alone(counted):
  ask, _, folder = counted
  folder.write_text("not a folder")
  assert ask()[0] == 1
  assert ask()[0] == 2


def test_kept_figures_are_those_that_were_computed(world, tmp_path):
  kept_twice = _on_disk(world, tmp_path)
  for _ in range(2):
    assert repeats.of_dataset(kept_twice) == repeats.of_dataset(world)
    found = statistics.of_dataset(kept_twice, 1800)
    wanted = statistics.of_dataset(world, 1800)
    assert found.figures == wanted.figures
    for name, spread in wanted.spreads.items():
      assert found.spreads[name].values.tolist() == spread.values.tolist()
      assert found.spreads[name].counts.tolist() == spread.counts.tolist()
    assert statistics.training_engagements(
      kept_twice
    ) == statistics.training_engagements(world)
  assert len([*(tmp_path / kept.FOLDER).iterdir()]) == 3


@pytest.mark.parametrize("split", splits.SPLITS)
def test_all_users_are_read_once(world, tmp_path, split, monkeypatch):
  log, read, real = _on_disk(world, tmp_path), [], store.Packed.__getitem__

  def ask(own):
    cases = evaluation_cases.cases(own, split, limit=3)
    return (
      [one.user for one in cases],
      *(one.past.item for one in cases),
      *(one.targets.item for one in cases),
      statistics.outcome_fractions(own),
      statistics.cold_items(own, split),
      statistics.most_popular(own, split),
    )

  def watched(self, place):
    read.append(place)
    return real(self, place)

  expected = ask(world)
  ask(log)
  monkeypatch.setattr(store.Packed, "__getitem__", watched)
  for one, other in zip(ask(log), expected, strict=True):
    np.testing.assert_array_equal(one, other)
  assert len(read) == 3
