"""Repeats, against a count event by event."""

import dataclasses

import numpy as np
import pytest

from pinrec_jax.data import histories, repeats, splits


def counted(dataset):
  """Returns engagements and repeats, counted one by one."""
  names = dataset.vocabulary.outcome_names
  engagements = dict.fromkeys(("", *names), 0)
  again = dict(engagements)
  for events in dataset.events:
    seen = []
    past = splits.past(dataset.vocabulary, events, "test")
    aimed = dataset.aim.met(past)
    for n in range(len(past)):
      if not past.engaged[n]:
        continue
      acted = [a for a, name in enumerate(names) if past.actions[n, a]]
      if seen and aimed[n]:
        for name in ("", *(names[a] for a in acted)):
          engagements[name] += 1
          again[name] += past.item[n] in seen
      seen.append(past.item[n])
  return engagements, again


def test_repeats_are_counted_overall_and_by_outcome(world, monkeypatch):
  monkeypatch.setattr(histories, "USERS", 7)
  found = repeats.of_dataset(world)
  assert (found.engagements, found.repeats) == counted(world)
  assert 0 < found.repeats[""] < found.engagements[""]
  assert found.fraction("save") == (
    found.repeats["save"] / found.engagements["save"]
  )
  assert found.figures["repeats/all"] == found.fraction()
  assert found.figures["repeats/like"] == found.fraction("like")


def test_engagements_that_are_not_predicted_do_not_count(world):
  aim = world.vocabulary.aim("feed", "save")
  aimed = dataclasses.replace(world, aim=aim)
  found = repeats.of_dataset(aimed)
  assert (found.engagements, found.repeats) == counted(aimed)
  assert found.engagements[""] < repeats.of_dataset(world).engagements[""]


def test_the_excerpt_has_few_repeats(mini):
  found = repeats.of_dataset(mini)
  assert (found.engagements, found.repeats) == counted(mini)
  assert found.filter_seen == "engagements"


@pytest.mark.parametrize(
  ("again", "suits"),
  [(0, "engagements"), (4, "engagements"), (5, "nothing"), (100, "nothing")],
)
def test_the_filter_follows_the_fraction_of_repeats(again, suits):
  found = repeats.Repeats({"": 100}, {"": again})
  assert found.filter_seen == suits


def test_a_log_without_engagements_has_no_repeats(world):
  some = np.zeros(0, int)
  empty = [events.where(some) for events in world.events]
  found = repeats.of_dataset(dataclasses.replace(world, events=empty))
  assert found.fraction() == found.fraction("click") == 0
  assert found.filter_seen == "engagements"
