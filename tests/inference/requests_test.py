"""Requests become histories and conditions; bad ones become failures."""

import dataclasses

import numpy as np
import pytest

from pinrec_jax.data import schema
from pinrec_jax.inference import engine

KNOWN = {"item": 105, "actions": ["click", "like"], "surface": "feed"}
INT32 = 2**31


def test_events_are_read_as_written(read, world):
  request = read([{"item": "100"}, {**KNOWN, "time": 1_700_000_000}])
  events = request.events
  assert request.user == "u"
  assert world.items.ids[events.item].tolist() == [100, 105]
  assert events.actions.tolist() == [[0, 0, 0, 0], [1, 0, 1, 0]]
  assert events.surface.tolist() == [0, 1]
  assert events.time.tolist() == [schema.UNKNOWN_TIME, 1_700_000_000]
  assert (request.dropped, request.unknown) == (0, None)


@pytest.mark.parametrize("item", [105, 105.0, "105", " 105", np.int32(105)])
def test_an_id_of_any_type_finds_its_item(read, world, item):
  request = read([{"item": item}])
  assert world.items.ids[request.events.item].tolist() == [105]
  assert request.unknown is None


@pytest.mark.parametrize(
  ("events", "message"),
  [
    ([KNOWN, {}], r"events\[1\] .*missing required field `item`"),
    ([{"item": float("nan")}], r"events\[0\]: item is nan; give a number"),
    ([{"item": " "}], r"events\[0\]: item is empty; give an id"),
    ([{"item": "\ud800"}], r"events\[0\]: item is not UTF-8 text"),
    (
      [KNOWN, {**KNOWN, "actions": ["hug"]}],
      r"events\[1\]: unknown action 'hug'; .*save, like, hide",
    ),
    (
      [{**KNOWN, "actions": ["\ud800"]}],
      r"events\[0\]: unknown action '\\ud800'",
    ),
    ([{**KNOWN, "surface": "moon"}], "unknown surface 'moon'; .*feed, search"),
    (
      [KNOWN, {**KNOWN, "time": 1_700_000_000_000}],
      r"events\[1\]: time is 1700000000000; give unix seconds",
    ),
    ([{**KNOWN, "time": -1}], r"events\[0\]: time is -1; give unix seconds"),
    ([{**KNOWN, "time": float("nan")}], "time is nan; give unix seconds"),
    ([{**KNOWN, "time": float("inf")}], "time is inf; give unix seconds"),
    (
      [{**KNOWN, "time": 9}, KNOWN, {**KNOWN, "time": 8}],
      r"events\[2\] is earlier than the event before it: time is 8; sort",
    ),
    (
      [{"item": "new", "features": {"colour": "red"}}],
      "item 'new': unknown item feature 'colour'; .* has author, tag",
    ),
    (
      [{"item": "new", "features": {"tag": ["t0", "t1", "t2"]}}],
      "item 'new': .*'tag' has 3 values; give at most 2",
    ),
    (
      [{"item": "new", "item_type": "PIN"}],
      "item 'new': unknown item type 'PIN'; .*AD, NORMAL",
    ),
    (
      [{**KNOWN, "shown_only": True}],
      r"actions is \['click', 'like'\] and shown_only is true; remove one",
    ),
    (
      [KNOWN, {"item": 105, "action": ["click"]}],
      r"events\[1\] .*unknown field `action`; choose from item, actions",
    ),
  ],
)  # fmt: skip
def test_an_error_names_the_line_the_user_and_the_field(
  refused, events, message
):
  answer = refused({"user": "u", "events": events})
  with pytest.raises(ValueError, match=f"^line 3(, user 'u')?: .*{message}"):
    raise ValueError(answer.error)
  answer.error.encode()


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("budget", {"hug": 1.0}, "unknown outcome 'hug'; .*click, save, like"),
    ("budget", {"click": 0.5}, "sums to 0.5, not 1"),
    ("budget", {"click": -0.5, "save": 1.5}, "share -0.5 of 'click' is not"),
    ("budget", {"click": float("nan")}, "share nan of 'click' is not"),
    ("budget", "click:0.5,click:0.5", "names 'click' twice"),
    ("budget", "click:much", "share 'much' of 'click' is not a number"),
    ("surface", "moon", "unknown surface 'moon'; .*feed, search"),
    ("item_type", "PIN", "unknown item type 'PIN'; .*AD, NORMAL"),
    ("offsets", [], r"offsets is \[\]; list 1 to 16 numbers"),
    ("offsets", [-60], r"offsets is \[-60\]; list .* or -1 for the next"),
    ("offsets", [INT32], "offsets is .2147483648.; list .* to 2147483647"),
    ("offsets", [0] * 1000, "offsets is .*; list 1 to 16 numbers"),
    ("age", -7, "age is -7; use seconds, 0 or more, or -1 for any"),
    ("age", INT32, "age is 2147483648; use seconds"),
    ("steps", 0, r"steps is 0; use 1 or more, and fewer than .*\(24\)"),
    ("steps", 24, r"steps is 24; use 1 or more, and fewer than .*\(24\)"),
    ("candidates", 0, "candidates is 0; use 1 or more"),
    ("candidates", -1, "candidates is -1; use 1 or more"),
    ("user", "\ud800", "user is not UTF-8 text"),
  ],
)
def test_a_field_that_is_out_of_range_is_named(refused, field, value, message):
  answer = refused({"user": "u", "events": [KNOWN], field: value})
  assert answer.user == (None if field == "user" else "u")
  with pytest.raises(ValueError, match=f"^line 3.*: .*{message}"):
    raise ValueError(answer.error)
  answer.error.encode()
  assert len(answer.error) < 500


def test_nesting_without_end_is_refused(refused):
  answer = refused('{"user": "u", "budget": ' + '{"a":' * 100_000)
  assert answer.error.startswith("line 3: the JSON is nested too deeply; list")
  endless: dict = {"user": "u"}
  endless["budget"] = endless
  assert "nested too deeply" in refused(endless).error
  del endless["budget"]


@pytest.mark.parametrize("given", [None, 7, ["user"], object()])
def test_other_types_are_refused(refused, given):
  assert "give JSON text or a mapping" in refused(given).error


def test_numbers_of_any_size_are_read_or_refused(read, refused):
  assert read([], candidates=10**400).candidates == 10**400
  assert read([], user=10**400).user == "1" + 400 * "0"
  assert "not UTF-8 text" in refused({"user": 10**5000}).error
  for field in ("age", "steps"):
    assert field in refused({"user": "u", field: 10**400}).error


def test_a_user_without_history_has_a_request(read):
  for events in ([], None):
    request = read(events)
    assert len(request.events) == len(request.seen) == 0


def test_a_dislike_can_be_excluded_from_the_engagements(read, world):
  (signal,) = world.vocabulary.actions[world.vocabulary.outcomes :][:1]
  disliked = {"item": 106, "actions": [signal], "shown_only": True}
  request = read([KNOWN, disliked])
  assert world.items.ids[request.events.item].tolist() == [105]
  assert world.items.ids[request.seen].tolist() == [105]
  engaged = read([KNOWN, {"item": 106, "actions": [signal]}])
  assert world.items.ids[engaged.events.item].tolist() == [105, 106]


def test_a_long_history_loses_its_oldest_events(read, refused, world):
  events = [{"item": 100 + n} for n in range(30)]
  request = read(events)
  assert world.items.ids[request.events.item].tolist() == list(range(108, 130))
  assert request.dropped == 8
  # Dropped events are seen all the same, and are checked.
  assert world.items.ids[request.seen].tolist() == list(range(100, 130))
  assert "field `item`" in refused({"user": "u", "events": [{}, *events]}).error
  assert read(events, steps=5).dropped == 11


@pytest.mark.parametrize("history_events", ["engagements", "exposures"])
def test_impressions_are_read_and_filtered_as_configured(
  read, small, world, history_events
):
  small.data.history_events = history_events
  events = [KNOWN, {"item": 110, "shown_only": True}, {"item": 111}]
  for filter_seen, left_out in (
    ("nothing", []),
    ("engagements", [105, 111]),
    ("exposures", [105, 110, 111]),
  ):
    small.index.filter_seen = filter_seen
    request = read(events)
    items = [105, 110, 111] if history_events == "exposures" else [105, 111]
    assert world.items.ids[request.events.item].tolist() == items
    assert world.items.ids[request.seen].tolist() == left_out


def test_a_history_of_impressions_alone_can_be_empty(read, small):
  shown = [{"item": 105, "shown_only": True}]
  assert len(read(shown).events) == 0
  small.data.history_events = "exposures"
  assert len(read(shown).events) == 1


def test_unknown_items_are_named_and_have_features(read, world):
  events = [
    {"item": "new", "features": {"tag": ["t1"], "author": "a2"}},
    KNOWN,
    {"item": 999_999, "item_type": "NORMAL", "features": {"tag": None}},
  ]
  unknown = read(events).unknown
  assert unknown.ids == ("new", "999999")
  assert unknown.place.tolist() == [0, 2]
  features = unknown.features
  assert len(np.unique(features.rows, axis=0)) == 2
  np.testing.assert_array_equal(
    features.rows, read(events).unknown.features.rows
  )
  codes = world.catalog.encode(events[0]["features"])
  assert codes.all(where=[True, True, False])
  np.testing.assert_array_equal(features.categorical[0], codes)
  assert not features.categorical[1].any()
  assert features.item_type.tolist() == [0, 1]


def test_dropped_unknown_items_are_not_embedded(read):
  events = [{"item": f"new-{n}"} for n in range(30)]
  unknown = read(events).unknown
  assert unknown.ids == tuple(f"new-{n}" for n in range(8, 30))
  assert unknown.place.tolist() == list(range(22))


def test_an_unknown_item_has_no_id_if_ids_are_dropped_in_training(read, small):
  small.model.id_dropout = 0.2
  request = read([KNOWN, {"item": "new", "features": {"tag": "t1"}}])
  assert (request.unknown.features.rows == -1).all()


def test_the_context_of_a_request_is_read_last(read, refused, world):
  request = read([KNOWN], context={"item": 110, "surface": "search"})
  assert world.items.ids[request.events.item].tolist() == [105, 110]
  assert request.events.engaged.tolist() == [True, False]
  assert world.items.ids[request.seen].tolist() == [105]
  assert request.events.context.tolist() == [False, True]
  assert read([KNOWN], context=None).events.item.size == 1
  answer = refused({"user": "u", "context": {"item": 3, "surface": "moon"}})
  assert "context: unknown surface 'moon'" in answer.error


def test_conditions_come_from_the_request_or_the_configuration(read, small):
  small.decode.surface, small.decode.offsets = "feed", (60, 90_000)
  plain = read([])
  assert (plain.ask.surface, plain.ask.offsets) == (1, (60, 90_000))
  assert (plain.ask.steps, plain.candidates) == (2, 5)
  own = read(
    [], surface="search", item_type="NORMAL", offsets=[-1], age=-1, steps=3,
    candidates=7, budget={"save": 1},
  )  # fmt: skip
  assert own.ask == plain.ask._replace(
    surface=2, item_type=1, offsets=(-1,), age=-1, steps=3,
    budget=(0.0, 1.0, 0.0, 0.0),
  )  # fmt: skip
  assert own.candidates == 7


def test_the_default_budget_is_the_fractions_of_the_log(retriever, read):
  budget = retriever.reader.defaults().ask.budget
  fractions = retriever.bundle.outcome_fractions
  np.testing.assert_allclose(budget[:-1], fractions, rtol=1e-6)
  assert (sum(budget), budget[-1]) == (pytest.approx(1), 0)
  for empty in ("", {}):
    assert read([], budget=empty).ask.budget == budget


def test_a_budget_of_the_caller_replaces_the_configured_one(small, untrained):
  small.decode.budget = "save:1"
  reader = untrained(small).reader
  assert reader.defaults().ask.budget == (0, 1, 0, 0)
  own = reader.defaults(budget="like:0.5,click:0.5").ask.budget
  assert own == reader.defaults(budget={"click": 0.5, "like": 0.5}).ask.budget
  assert own == (0.5, 0, 0.5, 0)
  with pytest.raises(ValueError, match="unknown outcome 'hug'"):
    reader.defaults(budget="hug:1")
  with pytest.raises(ValueError, match="candidates is 0; use 1 or more"):
    reader.defaults(candidates=0)


def test_an_unconditioned_model_takes_no_conditions(small, untrained, refused):
  small.model.conditioned = False
  reader = untrained(small).reader
  assert reader.defaults().ask.budget == (0, 0, 0, 1)
  with pytest.raises(ValueError, match="'save:1' asks an unconditioned model"):
    reader.defaults(budget="save:1")
  for field, value in (
    ("budget", "save:1"),
    ("surface", "feed"),
    ("offsets", [60]),
    ("age", 0),
  ):
    error = refused({"user": "u", field: value}).error
    assert field in error
    assert "unconditioned" in error


def test_an_age_is_a_condition_only_if_the_log_is_split_by_time(
  world, small, untrained
):
  small.decode.age = 0
  retriever = untrained(small)
  assert retriever.reader.defaults().ask.age == 0
  names = dataclasses.replace(world.vocabulary, validation_from=0, test_from=0)
  catalog = dataclasses.replace(world.catalog, vocabulary=names)
  bundle = dataclasses.replace(retriever.bundle, catalog=catalog)
  undated = engine.Retriever(bundle).reader
  assert undated.defaults().ask.age == -1


def test_history_and_steps_share_the_positions(retriever):
  assert retriever.reader.max_tokens(1) == 24
  assert retriever.reader.max_tokens(5) == 20
