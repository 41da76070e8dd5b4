"""Rows become events as in a plain loop over them."""

import hypothesis
import numpy as np
from hypothesis import strategies as st

from pinrec_jax.data.custom import merging

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
