import dataclasses
import json

import jax
import numpy as np
import pytest

from pinrec_jax.data import schema
from pinrec_jax.serve import requests, retriever

KNOWN = {"item": 105, "actions": ["click", "like"], "surface": "feed"}
BUDGET = {"click": 0.5, "save": 0.5}


@pytest.fixture
def parse(world, small, untrained):
  """Returns the function from events to a request."""

  def of_events(events, number=3):
    line = json.dumps({"user": "u", "events": events})
    return requests.parse(
      line, number, known=world.catalog, retriever=untrained(small)
    )

  return of_events


def test_events_are_read_as_written(parse, world):
  request = parse([{"item": "100"}, {**KNOWN, "time": 1_700_000_000}])
  events = request.events
  assert request.user == "u"
  assert world.items.ids[events.item].tolist() == [100, 105]
  assert events.actions.tolist() == [[0, 0, 0, 0], [1, 0, 1, 0]]
  assert events.surface.tolist() == [0, 1]
  assert events.time.tolist() == [schema.UNKNOWN_TIME, 1_700_000_000]
  assert request.unknown == []


def test_null_is_as_good_as_left_out(parse):
  left_out = ("actions", "surface", "time", "features")
  request = parse([{"item": 105, **dict.fromkeys(left_out)}])
  for one, other in zip(
    jax.tree.leaves(request[2:]),
    jax.tree.leaves(parse([{"item": 105}])[2:]),
    strict=True,
  ):
    np.testing.assert_array_equal(one, other)
  assert not request.events.time.any()


@pytest.mark.parametrize(
  "line",
  [
    "{",
    "[]",
    "7",
    "null",
    '{"events": [{"item": 7}]}',
    '{"user": "u"}',
    '{"user": "u", "events": 7}',
    '{"user": "u", "events": null}',
  ],
)
def test_what_is_no_request_is_answered_with_one(line, world, small, untrained):
  with pytest.raises(ValueError, match=r'line 9 is no request .*"item": 7'):
    requests.parse(line, 9, known=world.catalog, retriever=untrained(small))


@pytest.mark.parametrize(
  ("events", "message"),
  [
    ([], "the history is empty; give at least one event"),
    ([KNOWN, {}], "event 1 has no item"),
    ([{"item": None}], "event 0 has no item"),
    (["item"], "event 0 has no item"),
    ({"item": 105}, "event 0 has no item"),
    ([{**KNOWN, "actions": ["hug"]}], "unknown action 'hug'; .*save, like, hi"),
    ([{**KNOWN, "surface": "moon"}], "unknown surface 'moon'; .*feed, search"),
    ([{**KNOWN, "time": "soon"}], "event 0 has time 'soon'; give unix seconds"),
    ([KNOWN, {**KNOWN, "time": 1_700_000_000_000}], "event 1 has time 17000"),
    ([{**KNOWN, "time": -1}], "event 0 has time -1; give unix seconds"),
    ([{**KNOWN, "time": float("nan")}], "event 0 has time nan; give unix"),
    (
      [{**KNOWN, "time": 9}, KNOWN, {**KNOWN, "time": 8}],
      "event 2 is earlier than the one before; sort the history",
    ),
    (
      [{"item": "new", "features": {"colour": "red"}}],
      "unknown item feature 'colour'; this data set has author, tag",
    ),
    (
      [{"item": "new", "features": {"tag": ["t0", "t1", "t2"]}}],
      "item feature 'tag' has 3 values; give at most 2",
    ),
    ([{"item": "new", "features": ["t0"]}], "event 0 has features .*name them"),
    ([{"item": 105, "shown_only": 2}], "has shown_only 2; give true or false"),
    ([{**KNOWN, "shown_only": True}], "event 0 has actions and is shown_only"),
    (
      [{"item": 1, "shown_only": True}, {"item": "new", "features": ["t0"]}],
      "event 1 has features",
    ),
    ([{"item": 105, "actions": "click"}], "event 0 has actions 'click'; list"),
    (
      [KNOWN, {"item": 105, "action": ["click"]}],
      "event 1 has 'action', which nothing reads; .*from item, actions",
    ),
    ([KNOWN] * 23, "has 23 events, more than the 22 that fit; give the latest"),
  ],
)  # fmt: skip
def test_error_names_line_user_and_fault(parse, events, message):
  with pytest.raises(ValueError, match=f"^line 3, user 'u': .*{message}"):
    parse(events)


def test_what_nothing_reads_is_no_part_of_a_request(world, small, untrained):
  told = {"user": "u", "events": [KNOWN], "contex": {"item": 7}}
  with pytest.raises(ValueError, match="request 0, user 'u': the request has"):
    requests.parse(told, 0, known=world.catalog, retriever=untrained(small))


def test_a_dislike_may_be_no_engagement(parse, world):
  (signal,) = world.vocabulary.actions[world.vocabulary.outcomes :][:1]
  disliked = {"item": 106, "actions": [signal], "shown_only": True}
  request = parse([KNOWN, disliked])
  assert world.items.ids[request.events.item].tolist() == [105]
  assert world.items.ids[request.seen].tolist() == [105]
  engaged = parse([KNOWN, {"item": 106, "actions": [signal]}])
  assert world.items.ids[engaged.events.item].tolist() == [105, 106]


def test_long_history_is_cut_where_it_is_asked_for(parse, small, world):
  events = [{"item": 100 + n} for n in range(30)]
  small.decode.truncate = True
  request = parse(events)
  assert world.items.ids[request.events.item].tolist() == list(range(108, 130))
  # What is cut off was seen all the same, and is checked.
  assert world.items.ids[request.seen].tolist() == list(range(100, 130))
  with pytest.raises(ValueError, match="event 0 has no item"):
    parse([{}, *events])


@pytest.mark.parametrize("inputs", ["engagements", "exposures"])
def test_what_was_only_shown_is_read_and_left_out_as_configured(
  parse, small, world, inputs
):
  small.data.history_events = inputs
  events = [KNOWN, {"item": 110, "shown_only": True}, {"item": 111}]
  for drop_seen, left_out in (
    ("nothing", []),
    ("engagements", [105, 111]),
    ("exposures", [105, 110, 111]),
  ):
    small.index.filter_seen = drop_seen
    request = parse(events)
    read = [105, 110, 111] if inputs == "exposures" else [105, 111]
    assert world.items.ids[request.events.item].tolist() == read
    assert world.items.ids[request.seen].tolist() == left_out
    assert len(request.features.rows) == len(read)


def test_a_history_of_shown_items_alone_may_be_nothing_to_read(parse, small):
  shown = [{"item": 105, "shown_only": True}]
  with pytest.raises(ValueError, match=r"empty; give .* not shown_only"):
    parse(shown)
  small.data.history_events = "exposures"
  assert len(parse(shown).events) == 1


def test_row_reads_what_the_log_holds_of_known_items(parse, small, untrained):
  parsed = [parse([KNOWN]), parse([{"item": 100 + n} for n in range(22)])]
  tokens, features = requests.rows(parsed, length=23)
  assert tokens.item.shape == (2, 23)
  assert features.rows.shape == (2, 23, small.model.num_hashes)
  expected = untrained(small).features.take(tokens.item)
  for one, other in zip(features, expected, strict=True):
    read = tokens.item > 0
    np.testing.assert_array_equal(one[read], other[read])


def test_unknown_items_have_rows_of_their_own_and_are_named(
  parse, world, small, untrained
):
  before = untrained(small).features.rows.copy()
  told = [
    {"item": "new", "features": {"tag": ["t1"], "author": "a2"}},
    KNOWN,
    {"item": 999_999},
  ]
  request = parse(told)
  assert request.unknown == ["new", "999999"]
  rows = request.features.rows
  assert len(np.unique(rows, axis=0)) == 3
  np.testing.assert_array_equal(rows, parse(told).features.rows)
  codes = world.catalog.encode(told[0]["features"])
  assert codes.all(where=[True, True, False])
  np.testing.assert_array_equal(request.features.categorical[0], codes)
  assert not request.features.categorical[2].any()
  np.testing.assert_array_equal(untrained(small).features.rows, before)


def test_items_unknown_or_told_apart_change_what_is_generated(
  parse, small, untrained
):
  found = untrained(small)
  parsed = [
    parse([KNOWN, event])
    for event in (
      {"item": "new"},
      {"item": "newer"},
      {"item": "new", "features": {"tag": "t1"}},
      {"item": "new"},
    )
  ]
  key = jax.random.key(0)
  tokens, features = requests.rows(parsed, 23)
  query = found.vectors(tokens, found.embed(features), BUDGET, key).query
  np.testing.assert_allclose(query[0], query[3], atol=1e-6)
  for other in (1, 2):
    assert np.abs(query[0] - query[other]).max() > 1e-3


@pytest.mark.parametrize("text", [False, True], ids=["numbers", "names"])
def test_response_tells_each_candidate_and_what_was_unknown(parse, world, text):
  known, ids = world.catalog, world.items.ids
  if text:
    ids = np.array([f"v{key}" for key in ids], object)
    known = dataclasses.replace(known, items=known.items._replace(ids=ids))
  request = parse([KNOWN, {"item": "new"}])
  found = retriever.Candidates(
    item=np.array([[9, 9], [3, 4]], np.int32),
    score=np.array([[0, 0], [0.25, 1 / 3]], np.float32),
    outcome=np.array([[0, 0], [2, -1]]),
    offset=np.array([[0, 0], [60, -1]]),
    step=np.array([[0, 0], [0, 1]]),
  )
  answer = requests.response(request, found, 1, known)
  assert answer == {
    "user": "u",
    "candidates": [
      {
        "item": ids[3],
        "outcome": "like",
        "offset": 60,
        "step": 0,
        "score": 0.25,
      },
      {
        "item": ids[4],
        "outcome": None,
        "offset": None,
        "step": 1,
        "score": 0.333333,
      },
    ],
    "unknown_items": ["new"],
  }
  answer = requests.response(parse([KNOWN]), found, 1, world.catalog)
  assert "unknown_items" not in answer


def test_the_context_of_a_request_is_read_last(world, small, untrained):
  def parse(**more):
    line = json.dumps({"user": "u", "events": [KNOWN], **more})
    return requests.parse(
      line, 1, known=world.catalog, retriever=untrained(small)
    )

  request = parse(context={"item": 110, "surface": "search"})
  assert world.items.ids[request.events.item].tolist() == [105, 110]
  assert request.events.engaged.tolist() == [True, False]
  assert world.items.ids[request.seen].tolist() == [105]
  assert request.events.context.tolist() == [False, True]
  assert parse(context=None).events.item.size == 1
  with pytest.raises(ValueError, match="event 1 has no item"):
    parse(context={"surface": "search"})


def test_where_ids_may_be_hidden_an_unknown_item_has_none(parse, small):
  small.model.id_dropout = 0.2
  request = parse([KNOWN, {"item": "new", "features": {"tag": "t1"}}])
  assert (request.features.rows[1] == -1).all()
  assert (request.features.rows[0] >= 0).all()


def test_of_ten_thousand_events_the_latest_are_read_and_all_are_seen(
  parse, small, untrained
):
  # Item 126 is the first event alone; the others are 100 to 109.
  items = [126, *(100 + n * n % 10 for n in range(9_999))]
  told = [
    {"item": item, "actions": ["click"], "time": 1_600_000_000 + 60 * n}
    for n, item in enumerate(items)
  ]
  with pytest.raises(ValueError, match="has 10000 events, more than the 22 th"):
    parse(told)
  small.decode.truncate = True
  found, key = untrained(small), jax.random.key(0)
  whole, short = parse(told), parse(told[-22:])
  queries = []
  for request in (whole, short):
    tokens, features = requests.rows([request], found.longest)
    items = found.embed(features)
    queries.append(found.vectors(tokens, items, BUDGET, key))
  np.testing.assert_array_equal(queries[0].query, queries[1].query)
  listed = [
    set(found.candidates(queries[0], [r.seen], 15).item[0])
    for r in (whole, short)
  ]
  assert whole.seen.size == 10_000
  assert [27 in items for items in listed] == [False, True]
