"""One retriever: every request gets its own answer, alone or in a batch."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from pinrec_jax.data import schema
from pinrec_jax.index import exact, scann_index, sharded
from pinrec_jax.inference import candidates, engine, requests, sizes
from pinrec_jax.model import pinrec

needs_scann = pytest.mark.skipif(
  not scann_index.available(), reason="ScaNN has Linux wheels only"
)
TIE = 1e-6  # Candidates whose scores differ by less may change places.


def history(*items, **fields):
  """Returns a request with these items as its history."""
  return {"user": "u", "events": [{"item": i} for i in items], **fields}


def valid(parsed):
  """Returns a request that was read without a failure."""
  assert isinstance(parsed, requests.Request), parsed
  return parsed


def answered(retriever, *given, **options):
  return list(retriever.retrieve(given, **options))


def assert_same_list(one, other):
  """Checks that two lists are equal up to ties."""
  assert len(one) == len(other)
  for a, b in zip(one, other, strict=True):
    assert a["score"] == pytest.approx(b["score"], abs=2 * TIE)
    if a["item"] != b["item"]:
      tied = [c for c in other if abs(c["score"] - a["score"]) <= 2 * TIE]
      assert a["item"] in [c["item"] for c in tied]
    else:
      same = ("outcome", "offset", "step")
      assert [a[key] for key in same] == [b[key] for key in same]


# Requests that differ in all that a request can choose, and bad ones.
MIXED = [
  history(100, 105, 110),
  history(101, budget="save:1"),
  history(102, 103, budget={"click": 0.5, "like": 0.5}, candidates=11),
  "{",
  history(104, surface="search", item_type="NORMAL", age=90_000),
  history(105, offsets=[-1, 60, 90_000], candidates=9),
  history(106, steps=5, candidates=2),
  history(*range(100, 130), steps=3),
  history(candidates=7),
  {"user": "nobody"},
  history(7, "new", {"a": 1}),
  history("new", 107, "newer", budget={"unspecified": 1}),
  history(100, candidates=10**9),
  history(100, surface="moon"),
  history(108, offsets=[0], steps=2, budget="click:0.25,save:0.75"),
  history(100, user="\ud800"),
  history(109, budget={"click": float("nan")}),
  None,
]


def test_requests_of_a_batch_are_answered_as_if_alone(small, untrained):
  retriever = untrained(small)
  reader = retriever.reader
  parsed = [
    reader.read(given, f"request {n}", reader.defaults())
    for n, given in enumerate(MIXED, start=1)
  ]
  together = [engine.answers.as_json(a) for a in retriever.answer(parsed)]
  failed = [n for n, answer in enumerate(together) if "error" in answer]
  assert failed == [3, 10, 13, 15, 16, 17]
  for n, answer in enumerate(together):
    (alone,) = map(engine.answers.as_json, retriever.answer([parsed[n]]))
    if n in failed:
      assert alone == answer
      assert answer["error"].startswith(f"request {n + 1}")
    else:
      assert_same_list(alone.pop("candidates"), answer.pop("candidates"))
      assert alone.keys() == answer.keys()
      assert alone["events_read"] == answer["events_read"]
  json.dumps(together).encode()


def test_a_request_gets_the_list_that_it_asks_for(retriever, world):
  items = set(range(100, 127))
  plain, long, whole, none = answered(
    retriever,
    history(100, 105),
    history(100, 105, candidates=7),
    history(100, 105, candidates=1000),
    {"user": "nobody"},
  )
  assert len(plain["candidates"]) == 5
  assert long["candidates"][:5] == plain["candidates"]
  assert len(long["candidates"]) == 7
  assert {c["item"] for c in whole["candidates"]} == items - {100, 105}
  assert len({c["item"] for c in none["candidates"]}) == 5
  assert (none["events_read"], plain["events_read"]) == (0, 2)


def test_a_user_who_has_seen_nearly_all_gets_a_short_list(retriever):
  """And costs the others nothing."""
  nearly, all_seen, other = answered(
    retriever,
    history(*range(100, 125)),
    history(*range(100, 127)),
    history(100),
  )
  assert {c["item"] for c in nearly["candidates"]} == {125, 126}
  assert (all_seen["candidates"], all_seen["achieved"]) == ([], {})
  assert len(other["candidates"]) == 5
  (alone,) = answered(retriever, history(100))
  assert_same_list(other["candidates"], alone["candidates"])


def test_a_catalog_smaller_than_the_list_is_listed_whole(
  world, small, untrained
):
  """Nine items, lists of ten and ten neighbours of each vector."""
  retriever = untrained(small)
  few = world.items.candidate & (np.arange(len(world.items.ids)) < 10)
  catalog = dataclasses.replace(
    world.catalog, items=world.items._replace(candidate=few)
  )
  bundle = engine.bundle_lib.create(
    retriever.bundle.config,
    retriever.bundle.params,
    catalog,
    retriever.bundle.outcome_fractions,
  )
  found = engine.Retriever(bundle)
  one, other = answered(found, history(100), history(120), candidates=10)
  assert len(one["candidates"]) == 8
  assert len(other["candidates"]) == 9
  reader = found.reader
  batch = [valid(reader.read({"user": "u"}, "", reader.defaults()))]
  near = candidates.neighbours(found.items, found.generate(batch), 10)
  assert (near.place[..., -1] == -1).all()
  assert (near.score[..., -1] == -np.inf).all()
  places = near.place[near.place.max(-1) >= 0]
  assert (np.sort(places, -1)[:, 1:] == range(9)).all()
  rows = candidates.rows_of(found.items, near.place)
  assert (rows[near.place < 0] == -1).all()


def test_a_missing_neighbour_is_never_an_item(retriever):
  """As from an index that finds fewer neighbours than were asked for."""

  class Few:
    kind, exact = "few", False

    def search(self, query, k):
      row = np.full((len(query), k), -1, np.int32)
      row[:, :2] = [3, 5]
      score = np.where(row < 0, -np.inf, 0.5).astype(np.float32)
      return row, score

  bundle = dataclasses.replace(retriever.bundle, index=Few())
  (answer,) = answered(engine.Retriever(bundle), history(110))
  ids = bundle.catalog.items.ids[bundle.candidates]
  assert [c["item"] for c in answer["candidates"]] == [ids[3], ids[5]]


def test_an_answer_says_where_it_comes_from(retriever):
  (answer,) = answered(
    retriever,
    history(
      *range(100, 120), *range(100, 110), "new",
      budget="click:0.5,save:0.5", candidates=4,
    ),
  )  # fmt: skip
  assert answer["user"] == "u"
  assert answer["model_step"] == 0
  assert answer["bundle"] == ""  # It was never written.
  assert answer["budget"] == {"click": 0.5, "save": 0.5}
  assert answer["achieved"] == {"click": 0.5, "save": 0.5}
  assert (answer["events_read"], answer["events_dropped"]) == (22, 9)
  assert answer["unknown_items"] == ["new"]
  (plain,) = answered(retriever, history(100))
  assert not {"events_dropped", "unknown_items"} & set(plain)


@pytest.mark.parametrize("text", [False, True], ids=["numbers", "names"])
def test_a_candidate_names_the_vector_that_found_it(retriever, text):
  bundle = retriever.bundle
  if text:
    ids = np.array([f"v{key}" for key in bundle.catalog.items.ids], object)
    items = bundle.catalog.items._replace(ids=ids)
    catalog = dataclasses.replace(bundle.catalog, items=items)
    bundle = dataclasses.replace(bundle, catalog=catalog)
  retriever = engine.Retriever(bundle)
  found = candidates.Candidates(
    item=np.array([[9, 9], [3, 4]], np.int32),
    score=np.array([[0, 0], [0.25, 1 / 3]], np.float32),
    outcome=np.array([[0, 0], [2, -1]]),
    offset=np.array([[0, 0], [60, -1]]),
    step=np.array([[0, 0], [0, 1]]),
    exact=np.array([False, True]),
  )
  reader = retriever.reader
  request = valid(reader.read({"user": "u"}, "", reader.defaults()))
  answer = engine.answers.as_json(retriever.answer_of(request, found, 1))
  ids = bundle.catalog.items.ids
  assert answer["candidates"] == [
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
  ]
  assert answer["achieved"] == {"like": 0.5, "unspecified": 0.5}


def test_scores_are_cosines_with_that_vector(small, untrained):
  small.decode.dedup_threshold = 1.0
  retriever = untrained(small)
  reader = retriever.reader
  batch = [
    reader.read(history(item), "", reader.defaults(budget="save:0.5,like:0.5"))
    for item in (100, 101)
  ]
  vectors = retriever.generate(batch)
  found = retriever.candidates(vectors, batch)
  columns = (found.item, found.score, found.outcome, found.offset, found.step)
  for user in range(2):
    for item, score, outcome, offset, step in zip(
      *(column[user] for column in columns), strict=True
    ):
      (place,) = np.flatnonzero(
        (vectors.outcome[user] == outcome)
        & (vectors.step[user] == step)
        & (vectors.budget[user] > 0)
      )
      cosine = vectors.query[user, place] @ retriever.bundle.vectors[item]
      assert score == pytest.approx(cosine, abs=1e-5)
      assert offset == -1


@pytest.mark.parametrize(
  "kind", ["exact", "sharded", pytest.param("scann", marks=needs_scann)]
)
def test_search_skips_vectors_without_a_share(small, untrained, kind):
  small.index.kind = kind
  retriever = untrained(small)
  reader = retriever.reader
  defaults = reader.defaults(budget="save:0.5,like:0.5")
  batch = [reader.read(history(n), "", defaults) for n in (100, 101, 102)]
  vectors = retriever.generate(batch)
  share = np.ones_like(vectors.share)
  share[0, 1] = share[2, 3] = 0
  vectors = vectors._replace(share=share)
  places, scores, _ = candidates.neighbours(retriever.items, vectors, 4)
  bundle = retriever.bundle
  every = np.einsum(
    "bqd,cd->bqc", vectors.query, bundle.vectors[bundle.candidates]
  )
  expected = np.argsort(-every, axis=-1)[..., :4]
  kept = share > 0
  np.testing.assert_array_equal(places[kept], expected[kept])
  np.testing.assert_allclose(
    scores[kept], np.take_along_axis(every, expected, -1)[kept], atol=1e-5
  )
  assert (places[~kept] == -1).all()
  assert (scores[~kept] == -np.inf).all()


# Filters that leave out items, allow few of them, or allow many.
FILTERS = (
  {},
  {"exclude": [101, 106]},
  {"include": [102, 104, 126]},
  {"item_types": ["AD"]},
  {"attributes": {"author": ["a1", "a2"]}},
)


@pytest.mark.parametrize(
  "kind", ["sharded", pytest.param("scann", marks=needs_scann)]
)
def test_all_indexes_give_the_same_lists(small, untrained, kind):
  found = []
  given = [history(100, 105, filters=filters) for filters in FILTERS]
  for index in ("exact", kind):
    small.index.kind = index
    retriever = untrained(small)
    assert retriever.bundle.index.kind == index
    # One at a time, because a test below compiles for batches.
    found.append([answered(retriever, one)[0] for one in given])
  for one, other in zip(*found, strict=True):
    assert one["candidates"]
    assert_same_list(one["candidates"], other["candidates"])


def test_generated_vectors_are_searched_where_they_are(
  small, untrained, monkeypatch
):
  small.index.kind, searched = "sharded", []
  retriever, search = untrained(small), sharded.Sharded.search

  def watched(index, query, *rest):
    searched.append(query)
    return search(index, query, *rest)

  monkeypatch.setattr(sharded.Sharded, "search", watched)
  answered(retriever, history(100), history(101))
  (query,) = searched
  assert isinstance(query, jax.Array)


def test_items_without_engagements_are_embedded_from_content(
  world, small, untrained
):
  # Item 3 is new, so nothing of its id reaches its vector.
  hidden = np.arange(len(world.items.ids)) == 3
  known = untrained(small).bundle
  cold = engine.bundle_lib.create(
    known.config,
    known.params,
    world.catalog,
    known.outcome_fractions,
    hidden=hidden,
  )
  moved = np.abs(cold.vectors - known.vectors).max(-1) > 1e-4
  assert moved.tolist() == hidden.tolist()
  assert (cold.features.rows[3] == -1).all()


def test_items_are_embedded_alike_in_parts(retriever, monkeypatch):
  bundle = retriever.bundle
  assert (bundle.candidates == np.arange(1, 28)).all()
  assert schema.NO_ITEM not in bundle.candidates
  monkeypatch.setattr(pinrec, "EMBED_BATCH", 10)
  parts = pinrec.embed_items(bundle.model, bundle.params, bundle.features)
  np.testing.assert_allclose(parts, bundle.vectors, atol=1e-6)
  np.testing.assert_allclose(
    np.linalg.norm(bundle.vectors, axis=-1), 1, rtol=1e-5
  )


def test_of_ten_thousand_events_the_last_are_read_and_all_are_seen(retriever):
  # Item 126 is the first event alone; the others are 100 to 109.
  items = [126, *(100 + n * n % 10 for n in range(9_999))]
  whole, short = answered(
    retriever,
    *(
      history(*some, budget="click:1", steps=1) for some in (items, items[-23:])
    ),
    candidates=100,
  )
  assert (whole["events_read"], whole["events_dropped"]) == (23, 9_977)
  listed = [{c["item"] for c in a["candidates"]} for a in (whole, short)]
  assert [126 in items for items in listed] == [False, True]
  scores = [
    {c["item"]: c["score"] for c in a["candidates"]} for a in (whole, short)
  ]
  for item in listed[0] & listed[1]:
    assert scores[0][item] == pytest.approx(scores[1][item], abs=1e-5)


def test_answers_come_in_the_order_of_the_requests(retriever, monkeypatch):
  monkeypatch.setattr(engine, "MAX_BATCH", 4)
  given = [{"user": n} if n % 5 else "{" for n in range(11)]
  found = answered(retriever, *given[:3], " \n", *given[3:])
  assert [a["user"] for a in found] == [
    str(n) if n % 5 else None for n in range(11)
  ]
  assert found[5]["error"].startswith("request 7: it is not valid JSON")
  assert answered(retriever) == []


def test_a_bad_default_is_an_error_of_the_caller(retriever):
  with pytest.raises(ValueError, match="unknown outcome 'hug'"):
    answered(retriever, budget={"hug": 1.0})
  with pytest.raises(ValueError, match="candidates is 0; use 1 or more"):
    answered(retriever, candidates=0)


def test_once_warm_nothing_is_compiled(retriever, caplog):
  """For batches up to the size, and histories of any length."""

  def compiled_for(users, events):
    caplog.clear()
    request = history(*range(100, 100 + events))
    with jax.log_compiles():
      found = answered(retriever, *[request] * users)
    assert len(found) == users
    return [line for line in caplog.messages if line.startswith("Compiling")]

  retriever.warm_up(4)
  for users in (1, 3, 4):
    assert not any(compiled_for(users, events) for events in (0, 1, 9, 22))
  assert compiled_for(5, 1)
  with pytest.raises(ValueError, match="most is 0; warm up for 1 request"):
    retriever.warm_up(0)


def test_warm_up_rests_after_each_program_if_asked(retriever):
  rests = []
  retriever.warm_up(4, rest=lambda: rests.append(None))
  assert len(rests) == len(sizes.powers(4))


def test_a_warm_retriever_with_the_same_programs_is_not_warmed_again(
  retriever, caplog
):
  retriever.warm_up(4)
  rests = []
  same = engine.Retriever(retriever.bundle)
  with jax.log_compiles():
    same.warm_up(4, lambda: rests.append(None), retriever)
    answered(same, *[history(100, 101)] * 4)
  assert len(rests) == 1
  assert not [line for line in caplog.messages if line.startswith("Compiling")]
  items = retriever.bundle.catalog.items
  mask = items.candidate.copy()
  mask[np.flatnonzero(mask)[-1]] = False
  fewer = dataclasses.replace(
    retriever.bundle.catalog, items=items._replace(candidate=mask)
  )
  bundle = dataclasses.replace(
    retriever.bundle,
    catalog=fewer,
    index=exact.Exact(retriever.bundle.vectors[mask]),
  )
  names = dataclasses.replace(retriever.bundle.vocabulary, test_from=1)
  renamed = dataclasses.replace(
    retriever.bundle,
    catalog=dataclasses.replace(retriever.bundle.catalog, vocabulary=names),
  )
  for other in (
    engine.Retriever(bundle),
    engine.Retriever(renamed),
    engine.Retriever(retriever.bundle, sizes=sizes.Sizes(length=(8,))),
  ):
    rests.clear()
    other.warm_up(4, lambda: rests.append(None), retriever)
    assert len(rests) == len(sizes.powers(4))


def test_sizes_are_rounded_to_powers_of_two():
  assert [sizes.up(n, ()) for n in (1, 2, 3, 4, 5, 64, 65)] == [
    1, 2, 4, 4, 8, 64, 128,
  ]  # fmt: skip
