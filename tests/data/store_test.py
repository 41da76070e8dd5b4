import dataclasses
import json
import traceback

import jaxtyping
import numpy as np
import pytest

from pinrec_jax.data import histories, schema, store


def same(one, other):
  for name in schema.COLUMNS:
    was, now = getattr(one, name), getattr(other, name)
    assert was.dtype == now.dtype
    np.testing.assert_array_equal(was, now)


@pytest.fixture
def saved(world, tmp_path):
  """A store that is checked in blocks of eight events."""
  store.save(tmp_path, zip(world.users, world.events, strict=True))
  store.finish(tmp_path)
  return tmp_path


def test_events_are_loaded_in_the_order_of_the_users(world, tmp_path):
  assert not store.is_finished(tmp_path)
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
  assert not store.is_finished(tmp_path)
  store.finish(tmp_path)
  assert store.is_finished(tmp_path)


def test_a_column_of_one_value_needs_no_file(world, saved):
  names = {path.name for path in (saved / store.FOLDER).iterdir()}
  assert "context" not in names
  assert "session" not in names
  assert {"item", "time", "actions"} <= names
  (_, events) = store.load(saved)
  assert (events[3].session == schema.UNKNOWN_SESSION).all()
  assert len(events[3].session) == len(world.events[3])


@pytest.mark.parametrize("size", [0, 1])
def test_few_events_are_kept(world, tmp_path, size):
  few = world.events[5].where(slice(0, size))
  store.save(tmp_path, [("a", few), ("b", few)])
  users, events = store.load(tmp_path)
  assert users == ("a", "b")
  same(few, events[1])


def test_whole_blocks_of_users_are_written_at_once(world, tmp_path):
  ends = np.cumsum([len(events) for events in world.events[:7]])
  with store.writing(tmp_path) as writer:
    writer.add(world.users[:7], ends, histories.joined(world.events[:7]))
    for user, own in zip(world.users[7:], world.events[7:], strict=True):
      writer.add([user], np.array([len(own)]), own)
  users, events = store.load(tmp_path)
  assert users == world.users
  for one, other in zip(world.events, events, strict=True):
    same(one, other)


def test_a_store_that_broke_off_is_written_again(world, tmp_path):
  def broken():
    yield world.users[0], world.events[0]
    raise OSError("disk full")

  with pytest.raises(OSError, match="disk full"):
    store.save(tmp_path, broken())
  assert not list(tmp_path.iterdir())
  store.save(tmp_path, [(world.users[0], world.events[0])])
  assert store.load(tmp_path)[0] == world.users[:1]


@pytest.mark.parametrize("at_once", [1 << 24, 0])
@pytest.mark.parametrize("name", ["item", "time", "actions", "engaged"])
def test_a_flipped_bit_of_a_column_is_found(
  world, saved, monkeypatch, at_once, name
):
  monkeypatch.setattr(store, "AT_ONCE", at_once)
  path = saved / store.FOLDER / name
  whole = path.read_bytes()
  for place in (0, len(whole) // 2, len(whole) - 1):
    store.finish(saved)
    changed = bytearray(whole)
    changed[place] ^= 1 << place % 8
    path.write_bytes(changed)
    # Where annotations are checked, an item of a sequence is looked at.
    with pytest.raises((store.DamagedError, jaxtyping.TypeCheckError)) as error:
      list(store.load(saved)[1])
    assert f"events/{name} is damaged" in "".join(
      traceback.format_exception(error.value)
    )
    assert not store.is_finished(saved)  # It is prepared again.
  path.write_bytes(whole)
  list(store.load(saved)[1])


def test_only_blocks_that_are_read_are_checked(world, saved, monkeypatch):
  monkeypatch.setattr(store, "AT_ONCE", 0)
  monkeypatch.setattr(store, "BLOCK", 8)
  store.save(saved, zip(world.users, world.events, strict=True))
  store.finish(saved)
  path = saved / store.FOLDER / "item"
  changed = bytearray(path.read_bytes())
  changed[-1] ^= 1
  path.write_bytes(changed)
  _, events = store.load(saved)
  for own in events[:-1]:
    assert len(own)
  with pytest.raises(store.DamagedError):
    events[-1]


@pytest.mark.parametrize(
  "name", ["users.parquet", "columns.json", "checksums.npy"]
)
def test_a_damaged_small_file_is_found(saved, name):
  path = saved / store.FOLDER / name
  changed = bytearray(path.read_bytes())
  changed[len(changed) // 2] ^= 4
  path.write_bytes(changed)
  with pytest.raises(store.DamagedError, match=f"{name} is damaged"):
    store.is_finished(saved)
  path.unlink()
  with pytest.raises(store.DamagedError, match=f"{name} is missing"):
    store.is_finished(saved)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"events/item": '])
def test_a_damaged_manifest_is_found(saved, text):
  (saved / store.MANIFEST).write_text(text)
  with pytest.raises(store.DamagedError, match=r"digests\.json is dam"):
    store.is_finished(saved)


@pytest.mark.parametrize("size", [-1, 1])
def test_a_column_of_another_size_is_found(saved, size):
  path = saved / store.FOLDER / "item"
  whole = path.read_bytes()
  path.write_bytes(whole[:size] if size < 0 else whole + b"x")
  with pytest.raises(store.DamagedError, match="item is damaged: its size"):
    store.load(saved)


def test_a_missing_column_is_found(saved):
  (saved / store.FOLDER / "item").unlink()
  with pytest.raises(store.DamagedError, match="item"):
    store.load(saved)


def test_every_column_of_events_is_stored(saved):
  found = json.loads((saved / store.FOLDER / "columns.json").read_text())
  assert [*found] == [f.name for f in dataclasses.fields(schema.Events)]
