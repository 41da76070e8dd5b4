import numpy as np

from pinrec_jax.data import packed


def test_what_was_saved_is_loaded(world, tmp_path):
  assert packed.load(tmp_path) is None
  packed.save(tmp_path, world.users, world.events)
  found = packed.load(tmp_path)
  assert found is not None
  users, events = found
  assert users == world.users
  for one, other in zip(world.events, events, strict=True):
    for name in packed.COLUMNS:
      was, now = getattr(one, name), getattr(other, name)
      assert was.dtype == now.dtype
      np.testing.assert_array_equal(was, now)
  assert [path.name for path in tmp_path.iterdir()] == [packed.FILE]
