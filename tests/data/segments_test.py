import dataclasses

import numpy as np
import pytest

from pinrec_jax.data import segments


@pytest.fixture
def parts(world):
  """Two stores: the events of users before and after their middle."""
  found = [[], []]
  for own in world.events:
    first = np.arange(len(own)) < len(own) // 2
    found[0].append(own.where(first))
    found[1].append(own.where(~first))
  return found


@pytest.mark.parametrize("room", [0, 1 << 13, 1 << 28])
def test_events_that_were_merged_are_held_while_there_is_room(
  world, parts, monkeypatch, room
):
  monkeypatch.setattr(segments, "HELD_BYTES", room)
  users = np.arange(len(world.events))
  # The last user has no event of the second day.
  places = [users, np.where(users < users[-1], users, -1)]
  joined = segments.Joined(parts, places, daily=False)
  first, again = list(joined), list(joined)
  held = 0
  for user, (one, other) in enumerate(zip(first, again, strict=True)):
    own = [part[user] for part in parts]
    want = own[0] if user == users[-1] else segments.merged(own)
    for name, column in dataclasses.asdict(want).items():
      np.testing.assert_array_equal(getattr(one, name), column)
      np.testing.assert_array_equal(getattr(other, name), column)
    held += one is other and user != users[-1]
  if room == 0:
    assert held == 0
  elif room == 1 << 28:
    assert held == len(users) - 1
  else:
    assert 0 < held < len(users) - 1
