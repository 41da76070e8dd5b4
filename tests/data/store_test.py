import numpy as np
import pytest

from pinrec_jax.data import store


def same(one, other):
  for name in store.COLUMNS:
    was, now = getattr(one, name), getattr(other, name)
    assert was.dtype == now.dtype
    np.testing.assert_array_equal(was, now)


def test_what_was_saved_is_loaded_in_the_order_of_names(world, tmp_path):
  assert not store.saved(tmp_path)
  pairs = list(zip(world.users, world.events, strict=True))
  store.save(tmp_path, reversed(pairs))
  users, events = store.load(tmp_path)
  assert users == world.users
  for one, other in zip(world.events, events, strict=True):
    same(one, other)
  same(world.events[-1], events[-1])
  for one, other in zip(world.events[2:5], events[2:5], strict=True):
    same(one, other)
  with pytest.raises(IndexError):
    events[len(world.events)]
  assert [path.name for path in tmp_path.iterdir()] == [store.FOLDER]


def test_users_of_no_event_are_kept(world, tmp_path):
  nothing = world.events[0].where(slice(0, 0))
  store.save(tmp_path, [("a", nothing), ("b", nothing)])
  users, events = store.load(tmp_path)
  assert users == ("a", "b")
  same(nothing, events[1])


def test_what_broke_off_is_written_again(world, tmp_path):
  def broken():
    yield world.users[0], world.events[0]
    raise OSError("disk full")

  with pytest.raises(OSError, match="disk full"):
    store.save(tmp_path, broken())
  assert not store.saved(tmp_path)
  store.save(tmp_path, [(world.users[0], world.events[0])])
  assert store.load(tmp_path)[0] == world.users[:1]
