"""Stored histories are read as training would read the same events."""

import asyncio
import copy
import dataclasses
import types

import msgspec
import numpy as np
import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.data import schema
from pinrec_jax.inference import engine, requests, wire
from pinrec_jax.inference import users as users_lib
from pinrec_jax.serve import (
  live_items,
  metrics,
  serving,
  sqlite_store,
  stores,
  user_histories,
  users,
)

NAME = "u07"


@pytest.fixture(scope="module")
def whole(world):
  """All dated events of one user."""
  own = world.events[world.users.index(NAME)]
  return own.where(own.time != schema.UNKNOWN_TIME)


@pytest.fixture(scope="module")
def bundle_of(untrained_once):
  """Returns the function from a user's events in the log to a bundle."""

  def make(events):
    known = users_lib.Users([NAME], [events])
    return dataclasses.replace(untrained_once(True, 0), users=known)

  return make


def as_written(events, catalog, names):
  """Returns events as a client would send them."""
  written = []
  for n in range(len(events)):
    chosen = np.flatnonzero(events.actions[n])
    event = wire.EventFields(
      catalog.items.ids[events.item[n]].item(),
      [names.actions[a] for a in chosen],
      names.surfaces[events.surface[n]],
      int(events.time[n]),
      shown_only=not events.engaged[n],
    )
    written.append(msgspec.json.encode(event))
  return written


def merged(bundle, events, forgotten=False):
  items = live_items.LiveItems(bundle).snapshot
  stored = stores.Stored(events, forgotten)
  return user_histories.merged(bundle, items, NAME, stored)


@pytest.mark.parametrize("first", [0, 5, 9])
def test_late_and_repeated_events_give_the_history_of_the_log(
  bundle_of, whole, first
):
  bundle = bundle_of(whole.where(slice(first)))
  written = as_written(whole, bundle.catalog, bundle.vocabulary)
  late = [written[n] for n in np.random.default_rng(0).permutation(len(whole))]
  found = merged(bundle, late + written[:3]).events
  for name, column in vars(whole).items():
    if name != "session":  # Only some logs have sessions.
      np.testing.assert_array_equal(vars(found)[name], column, name)


def test_a_forgotten_user_keeps_nothing_of_the_log(bundle_of, whole):
  bundle = bundle_of(whole)
  written = as_written(whole, bundle.catalog, bundle.vocabulary)[-2:]
  assert len(merged(bundle, written, forgotten=True).events) == 2
  assert len(merged(bundle, written).events) == len(whole)


def test_what_the_bundle_does_not_know_is_left_out(bundle_of, whole):
  bundle = bundle_of(whole)
  strange = wire.EventFields(
    "new", ["click", "shared"], "billboard", 10**9, item_type="HOLOGRAM"
  )
  strange.features = {"mood": "good", "author": "a1"}
  found = merged(bundle, [msgspec.json.encode(strange)]).events
  assert found.item[0] == schema.NO_ITEM
  assert found.actions[0].tolist() == [1, 0, 0, 0]
  assert found.surface[0] == 0


def _other_item(events):
  last = np.flatnonzero(events.engaged)[-1]
  events.item[last] = 1 + events.item[last] % 20


def _other_time(events):
  events.time[np.flatnonzero(events.engaged)[-3]] += 1


def _other_action(events):
  events.actions[np.flatnonzero(events.engaged)[-2], 1] ^= 1


@pytest.mark.parametrize(
  "change", [None, _other_item, _other_time, _other_action]
)
def test_a_history_that_training_would_read_otherwise_is_noticed(
  bundle_of, whole, change
):
  bundle = bundle_of(whole)
  known = copy.deepcopy(merged(bundle, []))
  retriever = engine.Retriever(bundle)
  given = requests.decode(msgspec.json.encode({"user": NAME}), "")
  assert isinstance(given, requests.Given)
  request = retriever.reader.check(
    given, retriever.reader.defaults(), merged(bundle, [])
  )
  assert isinstance(request, requests.Request)
  if change is not None:
    change(known.events)
  same = user_histories.is_as_trained(request, known, bundle)
  assert same == (change is None)


def test_a_clock_that_is_set_back_keeps_the_order(
  bundle_of, whole, tmp_path, monkeypatch
):
  bundle = bundle_of(whole)
  live = live_items.LiveItems(bundle)
  retriever = engine.Retriever(bundle, items=live.snapshot)
  config = config_lib.Serve()
  own = serving.Serving(retriever, live, retriever.reader.defaults(), config)
  clock = iter([2e9, 2e9 - 5000, 2e9 - 4000])
  monkeypatch.setattr(
    users, "time", types.SimpleNamespace(time=lambda: next(clock))
  )

  async def run():
    store = sqlite_store.SqliteStore(tmp_path / "s", max_events=10)
    calls = users.Users(config, lambda: own, store, metrics.Metrics())
    try:
      for item in (100, 101, 102):
        body = msgspec.json.encode({"events": [{"item": item}]})
        await calls.append("new", body)
      return (await calls.history("new")).events
    finally:
      await store.close()

  events = asyncio.run(run())
  assert [event["item"] for event in events] == [100, 101, 102]
  assert [event["time"] for event in events] == [2e9] * 3
