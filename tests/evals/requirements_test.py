"""A name or a number that a log cannot serve is found before training."""

import dataclasses

import numpy as np
import pytest

from pinrec_jax.evals import requirements


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("decode.budget", "hug:1", "unknown outcome 'hug'"),
    ("decode.surface", "moon", "unknown surface 'moon'"),
    ("decode.item_type", "PIN", "unknown item type 'PIN'"),
    ("evals.sweep", ("click", "hug"), "unknown outcome 'hug'"),
  ],
)
def test_names_are_looked_up_in_the_log(small, world, field, value, message):
  requirements.check_names(small, world)
  section, name = field.split(".")
  setattr(getattr(small, section), name, value)
  with pytest.raises(ValueError, match=message):
    requirements.check_names(small, world)


def test_a_log_without_candidates_is_refused(small, world):
  none = world.items._replace(candidate=np.zeros_like(world.items.candidate))
  catalog = dataclasses.replace(world.catalog, items=none)
  with pytest.raises(ValueError, match="world has no item that can be recomm"):
    requirements.check_names(small, dataclasses.replace(world, catalog=catalog))


def test_the_twin_needs_a_step_for_every_vector(small, world):
  requirements.check_twin_steps(small, world)
  small.decode.steps = 8  # Times three outcomes.
  with pytest.raises(ValueError, match="the twin would take 24 steps"):
    requirements.check_twin_steps(small, world)
  small.decode.budget = "save:1"
  requirements.check_twin_steps(small, world)
  small.decode.offsets = (-1, 60, 120)
  with pytest.raises(ValueError, match=r"24 steps.*sequence_length is 24"):
    requirements.check_twin_steps(small, world)


def test_the_user_with_the_shortest_list_is_named(small, world, cases):
  left = {
    case.user: 27 - len(set(case.past.item[case.past.engaged]) - {28, 29, 30})
    for case in cases
  }
  least = min(left.values())
  small.evals.cutoffs = (3, least)
  assert requirements.shortest_list(small, world, cases) is None
  small.evals.cutoffs = (3, least + 1)
  found = requirements.shortest_list(small, world, cases)
  assert found is not None
  user, length = found
  assert length == left[user] == least
  small.index.filter_seen = "nothing"
  small.evals.cutoffs = (27,)
  assert requirements.shortest_list(small, world, cases) is None
