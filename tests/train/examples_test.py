import dataclasses

import numpy as np
import pytest

from pinrec_jax.train import examples


def test_only_targets_aimed_at_are_counted(world, small):
  aim = world.vocabulary.aim("search", "save,like")
  world = dataclasses.replace(world, aim=aim)
  rows, corpus = examples.packed(small, world)
  surface = world.vocabulary.surface("search")
  assert corpus.outcome_share[0] < 1e-5 < corpus.outcome_share[1:].min()
  counts = np.zeros(len(world.items.ids))
  for events in world.events:
    chosen = events.engaged & (events.time < world.vocabulary.validation_from)
    chosen &= (events.surface == surface) & events.actions[:, 1:3].any(-1)
    np.add.at(counts, events.item[chosen], 1)
  np.testing.assert_allclose(corpus.share, counts / counts.sum(), rtol=1e-6)
  seen = 0
  for n in range(len(rows)):
    tokens, targets = rows[n]
    wanted = targets.item > 0
    assert (targets.surface[wanted] == surface).all()
    assert not targets.outcomes[:, 0].any()
    seen += wanted.sum()
    # The history is whole.
    assert (tokens.segment > 0).sum() > wanted.sum()
  assert seen == counts.sum()


def test_a_surface_without_engagements_is_said(world, small):
  names = dataclasses.replace(
    world.vocabulary, surfaces=(*world.vocabulary.surfaces, "mail")
  )
  known = dataclasses.replace(world.catalogue, vocabulary=names)
  aim = names.aim("mail", "")
  world = dataclasses.replace(world, catalogue=known, aim=aim)
  small.data.surface = "mail"
  with pytest.raises(ValueError, match=r"no engagement .*surface='mail'"):
    examples.packed(small, world)


@pytest.mark.parametrize("where", ["outcomes", "budget"])
def test_an_outcome_the_log_never_shows_is_said(world, small, where):
  events = tuple(
    dataclasses.replace(e, actions=e.actions * np.array([1, 1, 0, 1], np.uint8))
    for e in world.events
  )
  world = dataclasses.replace(world, events=events)
  examples.packed(small, world)
  if where == "outcomes":
    small.data.outcomes = "click,like"
  else:
    small.decode.budget = "click:0.5,like:0.5"
  with pytest.raises(ValueError, match="'like' is asked for and no training"):
    examples.packed(small, world)
