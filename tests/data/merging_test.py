import dataclasses

import numpy as np
import pytest

from pinrec_jax.data import merging, schema

ACTIONS = 3


def _rows(item, time, surface, actions):
  size = len(item)
  zeros = np.zeros(size, np.int64)
  columns = {
    "item": np.array(item, np.int64),
    "time": np.array(time, np.int64),
    "surface": np.array(surface, np.int64),
    "actions": np.array(actions, np.uint8).reshape(size, ACTIONS),
    "item_type": zeros,
    "session": zeros - 1,
    "context": zeros.astype(bool),
  }
  columns["engaged"] = columns["actions"].any(1)
  return schema.Events(**columns)


def _slow(rows, user):
  """The same rules, one row at a time."""
  events, copies, joined = [], [], []
  for n in range(len(rows)):
    key = (user[n], rows.item[n], rows.surface[n], rows.time[n])
    own = set(np.flatnonzero(rows.actions[n]))
    for event in events:
      dated = rows.time[n] != schema.UNKNOWN_TIME
      if dated and rows.item[n] != schema.NO_ITEM and event["key"] == key:
        (copies if own == event["first"] else joined).append(n)
        event["actions"] |= own
        break
    else:
      events.append({"key": key, "row": n, "actions": {*own}, "first": own})
  answered = [
    one["row"]
    for one in events
    if not one["actions"]
    and one["key"][3] != schema.UNKNOWN_TIME
    and one["key"][1] != schema.NO_ITEM
    and any(
      other["actions"]
      and other["key"][:3] == one["key"][:3]
      and 0 < other["key"][3] - one["key"][3] <= merging.ANSWER
      for other in events
    )
  ]
  events = [one for one in events if one["row"] not in answered]
  return events, copies, joined, answered


@pytest.mark.parametrize("seed", range(20))
def test_merged_rows_are_those_of_the_slow_definition(seed):
  random = np.random.default_rng(seed)
  size = 200
  user = np.sort(random.integers(0, 3, size))
  time = random.choice([0, 1, 2, 2000, 3000], size)
  order = np.lexsort((time, user))
  rows = _rows(
    random.integers(0, 4, size),
    time[order],
    random.integers(0, 2, size),
    random.random((size, ACTIONS)) < 0.2,
  )
  found = merging.merge(rows, user)
  events, copies, joined, answered = _slow(rows, user)
  assert found.row.tolist() == [one["row"] for one in events]
  assert found.copies.tolist() == copies
  assert found.joined.tolist() == joined
  assert found.answered.tolist() == answered
  for n, one in enumerate(events):
    assert set(np.flatnonzero(found.events.actions[n])) == one["actions"]
    assert found.events.engaged[n] == bool(one["actions"])
  for name in ("item", "time", "surface"):
    assert (getattr(found.events, name) == getattr(rows, name)[found.row]).all()


def test_no_rows_and_one_row_stay():
  for size in (0, 1):
    rows = _rows([1] * size, [5] * size, [0] * size, [[1, 0, 0]] * size)
    assert len(merging.merge(rows).events) == size


def test_rows_are_not_changed():
  rows = _rows([1, 1], [5, 5], [0, 0], [[1, 0, 0], [0, 1, 0]])
  before = dataclasses.replace(rows, actions=rows.actions.copy())
  found = merging.merge(rows)
  assert (rows.actions == before.actions).all()
  assert found.events.actions.tolist() == [[1, 1, 0]]
