import dataclasses
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinrec_jax import config as config_lib
from pinrec_jax.data import histories, schema, splits

ENGAGEMENTS: Any = "engagements"


def training(
  events, world, *, inputs=ENGAGEMENTS, length=64, aim=schema.EVERYTHING
):
  return histories.training(
    splits.past(world.vocabulary, events, "test"),
    config_lib.Data(history_events=inputs, sequence_length=length),
    end=world.vocabulary.test_from,
    outcomes=world.vocabulary.outcomes,
    aim=aim,
  )


def same(one, other):
  for left, right in zip(
    jax.tree.leaves(one), jax.tree.leaves(other), strict=True
  ):
    np.testing.assert_array_equal(left, right)


def seconds(later, earlier):
  return later - earlier if later and earlier else -1


@pytest.mark.parametrize("length", [4, 64])
@pytest.mark.parametrize("inputs", ["engagements", "exposures"])
def test_target_is_the_next_engagement(world, inputs, length):
  until = world.vocabulary.test_from
  chunked = 0
  for events in world.events:
    read = [
      n
      for n in range(len(events))
      if events.time[n] < until and (events.engaged[n] or inputs == "exposures")
    ]
    pieces = training(events, world, inputs=inputs, length=length)
    chunked += len(pieces) > 1
    covered = 0
    for number, (tokens, targets) in enumerate(pieces):
      covered += tokens.item.size
      for place in range(tokens.item.size):
        # Events before this one of the whole history; at a start, the token
        # is no event.
        before = number * length + place
        target = next(n for n in read[before:] if events.engaged[n])
        last = read[before - 1] if place else None
        then = events.time[last] if place else schema.UNKNOWN_TIME
        assert tokens.item[place] == (events.item[last] if place else 0)
        assert tokens.time[place] == then
        assert tokens.position[place] == place
        assert targets.item[place] == events.item[target]
        assert targets.surface[place] == events.surface[target]
        assert targets.time[place] == events.time[target]
        assert targets.age[place] == seconds(until, events.time[target])
        assert targets.item_type[place] == events.item_type[target]
        np.testing.assert_array_equal(
          targets.outcomes[place], events.actions[target, :3]
        )
    # Every place that an engagement follows is learned from.
    engaged = [place for place, n in enumerate(read) if events.engaged[n]]
    assert covered == (engaged[-1] + 1 if engaged else 0)
  assert (chunked > 30) == (length == 4)


def test_nothing_at_or_after_the_cut_is_trained_on(mini):
  until = mini.vocabulary.validation_from
  for events in mini.events[::20]:
    later = events.time >= until
    changed = dataclasses.replace(
      events,
      item=np.where(later, 1, events.item),
      actions=np.where(later[:, None], 1, events.actions),
      engaged=events.engaged | later,
    )
    pieces, others = (
      histories.training(
        splits.past(mini.vocabulary, e, "validation"),
        config_lib.Data(history_events="exposures", sequence_length=32),
        end=until,
        outcomes=7,
      )
      for e in (events, changed)
    )
    same(pieces, others)
    assert all((piece.tokens.time < until).all() for piece in pieces)


@pytest.mark.parametrize("inputs", ["engagements", "exposures"])
def test_user_without_engagement_gives_nothing(world, inputs):
  events = world.events[0]
  assert len(events)
  assert not events.engaged.any()
  assert training(events, world, inputs=inputs) == []


def test_one_event_is_the_target_of_the_start(world):
  events = world.events[1]
  ((tokens, targets),) = training(events, world)
  assert len(events) == 1
  assert tokens.item.tolist() == [schema.NO_ITEM]
  assert targets.item.tolist() == events.item.tolist()
  assert targets.session.tolist() == [0]


@pytest.mark.parametrize("inputs", ["engagements", "exposures"])
def test_visible_events_are_those_the_model_may_read(world, inputs):
  for events in world.events:
    kept = histories.visible(events, inputs)
    wanted = events.engaged | (inputs == "exposures")
    assert kept.item.tolist() == events.item[wanted].tolist()


def test_gap_is_the_time_since_the_token_before(world):
  events = world.events[5]
  tokens = histories.tokens(events)
  times = [schema.UNKNOWN_TIME, *events.time.tolist()]
  pairs = zip(times[1:], times[:-1], strict=True)
  assert tokens.gap.tolist() == [-1, *(seconds(*pair) for pair in pairs)]
  assert set(tokens.gap.tolist()) == {-1, 43_200}


def test_gap_of_a_lifetime_is_clipped(world):
  events = world.events[5].where(slice(0, 2))
  events = dataclasses.replace(events, time=np.array([1, 2**32 - 1]))
  assert histories.tokens(events).gap.tolist() == [-1, -1, 2**31 - 1]


def test_serving_pads_on_the_left_what_training_reads(world):
  chosen = [world.events[user] for user in (1, 5)]
  rows = histories.serving(chosen, length=32)
  for row, events in enumerate(chosen):
    own = jax.tree.map(lambda column, row=row: column[row], rows)
    pad = 32 - len(events) - 1
    assert not any(column[:pad].any() for column in own)
    same([c[pad:] for c in own], list(histories.tokens(events)))
    assert own.segment[pad] == 1


def test_history_too_long_to_serve_is_named(world):
  events = world.events[5]
  size = len(events)
  histories.serving([events], length=size + 1)
  with pytest.raises(ValueError, match=f"history 1 has {size} .* latest"):
    histories.serving([world.events[1], events], length=size)


def test_a_query_is_read_and_never_predicted(world):
  events = world.events[7]
  about = ~events.engaged
  assert about.any()
  asked = dataclasses.replace(events, context=about)
  plain, told = training(events, world), training(asked, world)
  ((before, wanted),), ((tokens, targets),) = plain, told
  last = np.flatnonzero(
    events.engaged & (events.time < world.vocabulary.test_from)
  )[-1]
  read = np.flatnonzero((events.engaged | about)[:last])
  assert tokens.item.tolist() == [0, *events.item[read]]
  # The targets are those without the queries, seen from more places.
  assert set(targets.item.tolist()) == set(wanted.item.tolist())
  assert targets.item[targets.new].tolist() == wanted.item.tolist()
  engaged = np.append(True, events.engaged[read])
  np.testing.assert_array_equal(tokens.item[engaged], before.item)
  assert not targets.shown.any()


def test_what_was_shown_in_vain_lies_before_the_target(world):
  events = world.events[7]
  ((tokens, targets),) = training(events, world)
  engaged = np.flatnonzero(events.engaged)[: tokens.item.size]
  found = 0
  for place, (target, shown) in enumerate(
    zip(engaged, targets.shown, strict=True)
  ):
    between = range(engaged[place - 1] + 1 if place else 0, target)
    assert shown == (events.item[between[0]] if between else 0)
    found += bool(between)
  assert found


def test_where_one_surface_is_aimed_at_what_was_shown_is_of_it(world):
  events = world.events[7]
  surface = np.arange(len(events)) % 2
  events = dataclasses.replace(events, surface=surface)
  shown = []
  for aim in (schema.Aim(), schema.Aim(surface=0), schema.Aim(surface=1)):
    ((_, targets),) = training(events, world, aim=aim)
    shown.append(set(targets.shown.tolist()) - {0})
  for place, found in enumerate(shown[1:]):
    there = set(events.item[(surface == place) & ~events.engaged].tolist())
    assert found
    assert found <= there
  assert not shown[0] <= shown[1]


def test_a_session_ends_with_a_gap_or_an_unknown_time(world):
  events = world.events[7]
  day = 86_400
  assert histories.sessions(events, day).tolist() == [
    0, 1, *[2] * (len(events) - 2)
  ]  # fmt: skip
  assert histories.sessions(events, 60).tolist() == list(range(len(events)))


def test_sessions_that_the_log_tells_are_kept(world):
  events = world.events[5].where(slice(2, 10))
  told = np.array([4, 4, -1, -1, 7, 7, 4, 4], np.int32)
  events = dataclasses.replace(events, session=told)
  # Half a day lies between events, and an untold session is one by the gap; one
  # told goes on after another, as on two devices.
  assert histories.sessions(events, 60).tolist() == [0, 0, 1, 2, 3, 3, 0, 0]
  told[2:4] = 4
  assert histories.sessions(events, 60).tolist() == [0] * 4 + [1, 1, 0, 0]


def long_history(size):
  """Returns many events of an item each, two in three engaged with."""
  rng = np.random.default_rng(size)
  kind = rng.permutation(np.arange(size) % 6)
  return schema.Events(
    item=np.arange(1, size + 1, dtype=np.int32),
    actions=(kind[:, None] < 4).astype(np.uint8),
    surface=np.arange(size, dtype=np.int32) % 7,
    item_type=np.zeros(size, np.int32),
    time=1_000 + np.cumsum(rng.integers(0, 100, size)),
    session=np.full(size, schema.UNKNOWN_SESSION, np.int32),
    engaged=kind < 4,
    context=kind == 4,
  )


def trained(events, *, inputs=ENGAGEMENTS, length=64, gap=50):
  return histories.training(
    events,
    config_lib.Data(
      history_events=inputs, sequence_length=length, session_gap=gap
    ),
    end=10**7,
    outcomes=1,
  )


@pytest.mark.parametrize("inputs", ["engagements", "exposures"])
@pytest.mark.parametrize("length", [64, 200])
def test_a_long_history_is_cut_into_rows_that_miss_no_target(inputs, length):
  events = long_history(10_000)
  pieces = trained(events, inputs=inputs, length=length)
  read = np.flatnonzero(histories.readable(events, inputs))
  engaged = np.flatnonzero(events.engaged)
  session = np.append(0, np.cumsum(np.diff(events.time[read]) > 50))
  session_of = dict(zip(read.tolist(), session.tolist(), strict=True))
  vain = np.flatnonzero(~events.engaged & ~events.context)
  places = np.flatnonzero(np.isin(read, engaged))[-1] + 1
  assert len(pieces) == -(-places // length) > 30
  assert [len(p.tokens.item) for p in pieces[:-1]] == [length] * (
    len(pieces) - 1
  )
  found = []
  for number, (tokens, targets) in enumerate(pieces):
    size = len(tokens.item)
    own = read[number * length : number * length + size - 1]
    assert tokens.item.tolist() == [0, *events.item[own]]
    assert tokens.time.tolist() == [0, *events.time[own]]
    assert tokens.gap.tolist() == [-1, -1, *np.diff(events.time[own])][:size]
    assert tokens.position.tolist() == list(range(size))
    assert tokens.after.tolist() == list(range(size))[::-1]
    assert (tokens.segment == 1).all()
    # The next engagement, whatever piece it is read in.
    start = read[number * length]
    before = np.append(start, own + 1)
    target = engaged[np.searchsorted(engaged, before)]
    assert targets.item.tolist() == events.item[target].tolist()
    assert targets.time.tolist() == events.time[target].tolist()
    assert targets.age.tolist() == (10**7 - events.time[target]).tolist()
    assert targets.session.tolist() == [session_of[n] for n in target.tolist()]
    first = np.append(vain, 10**6)[np.searchsorted(vain, before)]
    shown = np.where(first < target, first + 1, 0)
    np.testing.assert_array_equal(targets.shown[1:], shown[1:])
    assert targets.new.tolist() == [True, *(np.diff(target) > 0)]
    found.append(target)
  found = np.concatenate(found)
  assert set(found) == set(engaged)
  assert (np.diff(found) >= 0).all()


def test_of_engagements_alone_each_is_a_target_once():
  events = long_history(10_000)
  events = events.where(~events.context)
  found = [piece.targets.item for piece in trained(events)]
  want = events.item[events.engaged]
  assert np.concatenate(found).tolist() == want.tolist()


@given(
  sizes=st.tuples(st.integers(0, 40), st.integers(1, 20)),
)
def test_a_serving_row_holds_the_start_and_one_event_less(sizes):
  size, length = sizes
  events = long_history(size)
  kept = events.where(slice(max(size - (length - 1), 0), None))
  row = histories.serving([kept], length)
  pad = length - len(kept) - 1
  want = [0] * (pad + 1) + events.item[size - len(kept) :].tolist()
  assert row.item[0].tolist() == want
  assert row.position[0, pad:].tolist() == list(range(len(kept) + 1))


@given(
  gaps=st.lists(st.sampled_from([0, 1, 59, 60, 61, 10**6]), max_size=30),
  gap=st.sampled_from([0, 59, 60, 61]),
)
def test_a_gap_as_long_as_allowed_ends_no_session(gaps, gap):
  events = long_history(len(gaps) + 1)
  events = dataclasses.replace(events, time=1_000 + np.cumsum([0, *gaps]))
  found = histories.sessions(events, gap).tolist()
  want = [0]
  for seconds in gaps:
    want.append(want[-1] + (seconds > gap))
  assert found == want
