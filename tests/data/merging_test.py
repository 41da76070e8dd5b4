"""Rows become events as in a plain loop over them."""

import dataclasses

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from pinrec_jax.data import merging, schema

ACTIONS = 3
row = st.tuples(
  st.integers(0, 2),  # user
  st.sampled_from([0, 100, 101, 500, 1899, 1900, 1901]),  # time
  st.integers(1, 3),  # item
  st.integers(0, 1),  # surface
  st.integers(0, 3),  # mask
)


def rows_of(found):
  """Returns rows in the order that `merge` takes."""
  ordered = [(*one, place) for place, one in enumerate(found)]
  ordered.sort(key=lambda r: (r[0], r[1], r[2], r[3], r[5]))
  columns = np.array(ordered, int).reshape(-1, 6).T
  return merging.Rows(*columns)


def merged(found):
  """Returns events as (user, time, place, mask), and the repeated places."""
  events, again = {}, []
  for place, (user, time, item, surface, mask) in enumerate(found):
    key = (user, time, item, surface) if time else place
    if key in events:
      _, _, masks = events[key]
      if mask in masks:
        again.append(place)
      masks.append(mask)
    else:
      events[key] = ((user, time, place), (item, surface), [mask])
  ordered = sorted(events.values(), key=lambda event: event[0])
  return [
    (*at, *which, int(np.bitwise_or.reduce(masks)))
    for at, which, masks in ordered
  ], again


@hypothesis.given(st.lists(row, max_size=40))
def test_rows_of_one_moment_are_one_event(found):
  rows = rows_of(found)
  first, mask, again = merging.merge(rows)
  events = rows.take(first)
  expected, repeated = merged(found)
  columns = (events.user, events.time, events.place, events.item)
  columns += (events.surface, mask)
  assert [*zip(*columns, strict=True)] == expected
  assert sorted(rows.place[again]) == sorted(repeated)


@hypothesis.given(st.lists(row, max_size=40))
def test_impressions_that_are_answered_are_found(found):
  rows = rows_of(found)
  first, mask, _ = merging.merge(rows)
  events = merging.Rows(**{**vars(rows.take(first)), "mask": mask})
  engaged = mask & 1 > 0
  expected = [
    bool(
      not mask[n]
      and events.time[n]
      and any(
        engaged[m]
        and 0 <= events.time[m] - events.time[n] <= merging.ANSWER
        and (events.user[m], events.item[m], events.surface[m])
        == (events.user[n], events.item[n], events.surface[n])
        for m in range(n + 1, len(mask))
      )
    )
    for n in range(len(mask))
  ]
  assert merging.answered(events, engaged).tolist() == expected


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


def _slow(rows):
  """The same rules, one row at a time."""
  events = []
  for n in sorted(range(len(rows)), key=lambda n: rows.time[n]):
    key = (rows.item[n], rows.surface[n], rows.time[n])
    own = {*np.flatnonzero(rows.actions[n])}
    known = rows.time[n] and rows.item[n] != schema.NO_ITEM
    same = [one for one in events if known and one["key"] == key]
    if same:
      same[0]["actions"] |= own
      same[0]["engaged"] |= bool(rows.engaged[n])
    else:
      engaged = bool(rows.engaged[n])
      events.append({"key": key, "row": n, "actions": own, "engaged": engaged})
  return [
    one
    for one in events
    if one["engaged"]
    or not one["key"][2]
    or one["actions"]
    or not any(
      other["engaged"]
      and other["key"][:2] == one["key"][:2] != (schema.NO_ITEM, None)
      and one["key"][0] != schema.NO_ITEM
      and 0 <= other["key"][2] - one["key"][2] <= merging.ANSWER
      for other in events
    )
  ]


@pytest.mark.parametrize("seed", range(20))
def test_merged_rows_are_those_of_the_slow_definition(seed):
  random = np.random.default_rng(seed)
  size = 100
  rows = _rows(
    random.integers(0, 4, size),
    random.choice([0, 1, 2, 2000, 3000], size),
    random.integers(0, 2, size),
    random.random((size, ACTIONS)) < 0.2,
  )
  # An engagement may have no action.
  rows.engaged[:] |= random.random(size) < 0.1
  found, events = merging.of_user(rows), _slow(rows)
  assert found.row.tolist() == [one["row"] for one in events]
  for n, one in enumerate(events):
    assert {*np.flatnonzero(found.events.actions[n])} == one["actions"]
    assert found.events.engaged[n] == one["engaged"]
  for name in ("item", "time", "surface"):
    assert (getattr(found.events, name) == getattr(rows, name)[found.row]).all()


def test_no_rows_and_one_row_stay():
  for size in (0, 1):
    rows = _rows([1] * size, [5] * size, [0] * size, [[1, 0, 0]] * size)
    assert len(merging.of_user(rows).events) == size


def test_rows_are_not_changed():
  rows = _rows([1, 1], [5, 5], [0, 0], [[1, 0, 0], [0, 1, 0]])
  before = dataclasses.replace(rows, actions=rows.actions.copy())
  found = merging.of_user(rows)
  assert (rows.actions == before.actions).all()
  assert found.events.actions.tolist() == [[1, 1, 0]]
