import numpy as np
import pytest

from pinrec_jax.data import statistics


@pytest.fixture(scope="module")
def found(world):
  return statistics.of_dataset(world, 1800)


def test_events_are_counted(found, world):
  figures = found.figures
  assert figures["users"] == 40
  assert figures["users/engaged"] == sum(e.engaged.any() for e in world.events)
  assert figures["items"] == 30
  assert figures["items/candidates"] == 27
  every = sum(map(len, world.events))
  assert figures["events"] == every
  kinds = ("engagements", "shown_only", "context")
  assert sum(figures[f"events/{kind}"] for kind in kinds) == every
  undated = sum((e.time == 0).sum() for e in world.events)
  assert figures["events/undated"] == undated > 0
  assert figures["events/of_items_that_are_not_candidates"] == undated
  for n, name in enumerate(world.vocabulary.actions):
    count = sum(int(e.actions[:, n].sum()) for e in world.events)
    assert figures[f"actions/{name}"] == count
  surfaces = [figures[f"surfaces/{name}"] for name in world.vocabulary.surfaces]
  assert sum(surfaces) == every


def test_spreads_are_those_of_engagements(found, world):
  lengths = [e.engaged.sum() for e in world.events if e.engaged.any()]
  values, counts = np.unique(lengths, return_counts=True)
  np.testing.assert_array_equal(found.spreads["length"].values, values)
  np.testing.assert_array_equal(found.spreads["length"].counts, counts)
  assert found.figures["length/p50"] == np.median(lengths)
  # Half a day lies between events: every session is of one.
  assert found.figures["session/p95"] == 1
  assert found.figures["gap/p5"] >= 43_200


def test_sessions_end_at_the_gap(world):
  wide = statistics.of_dataset(world, 10**7)
  assert wide.figures["session/mean"] > 3
  dated = sum((e.engaged & (e.time > 0)).sum() for e in world.events)
  spread = wide.spreads["session"]
  assert spread.values @ spread.counts == dated


def test_the_excerpt_is_as_described(mini):
  figures = statistics.of_dataset(mini, 1800).figures
  assert figures["users"] == 2_402
  assert figures["items"] == 6_671
  assert figures["events"] == 70_114 + 102_500
  assert figures["events/undated"] == 102_500
