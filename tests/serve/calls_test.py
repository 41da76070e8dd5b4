"""The calls of a running server, one after another."""

import contextlib
import json
import socket
import time
from urllib import parse

import msgspec
import pytest

from pinrec_jax.serve import openapi

TIMES = [1_728_000_000 + 3600 * n for n in range(5)]


def _events(*items, **fields):
  return [{"item": item, "actions": ["click"], **fields} for item in items]


def _items(answer):
  return [one["item"] for one in answer["candidates"]]


def test_the_first_line_is_the_address(server):
  assert server.first_line == f"serving on http://127.0.0.1:{server.port}"


def test_an_answer_says_where_it_comes_from(client):
  given = {
    "user": "nobody", "events": _events(100, 101), "candidates": 4,
    "budget": {"click": 0.5, "like": 0.5},
  }  # fmt: skip
  answer = client.post("/v1/retrieve", json=given).json()
  assert len(answer["candidates"]) == 4
  assert not {*_items(answer)} & {100, 101}
  assert answer["history"] == "request"
  assert answer["events_read"] == 2
  assert answer["budget"] == {"click": 0.5, "like": 0.5}
  assert sum(answer["achieved"].values()) == pytest.approx(1)
  assert answer["bundle"] == client.get("/v1/bundle").json()["version"]
  assert answer["exact"] is True
  assert "index" in answer
  assert "model_step" in answer


def test_a_user_of_the_log_needs_an_id_alone(client):
  answer = client.post("/v1/retrieve", json={"user": "u05"}).json()
  assert answer["history"] == "stored"
  assert answer["events_read"] > 5
  nobody = client.post("/v1/retrieve", json={"user": "someone new"}).json()
  assert nobody["history"] == "none"
  assert len(nobody["candidates"]) == 5
  empty = client.post("/v1/retrieve", json={"user": "u05", "events": []}).json()
  assert _items(empty) == _items(nobody)


def test_stored_events_are_used_by_the_next_request(client):
  given = {"user": "ann"}
  before = client.post("/v1/retrieve", json=given).json()
  stored = client.post(
    "/v1/users/ann/events", json={"events": _events(104, 105)}
  )
  assert stored.json() == {"user": "ann", "stored": 2, "total": 2}
  after = client.post("/v1/retrieve", json=given).json()
  assert before["history"] == "none"
  assert after["history"] == "stored"
  assert after["events_read"] == 2
  assert not {*_items(after)} & {104, 105}
  history = client.get("/v1/users/ann").json()
  assert [one["item"] for one in history["events"]] == [104, 105]
  assert abs(history["events"][0]["time"] - time.time()) < 60
  assert history["items"]["104"]["features"]["author"] == ["a4"]


def test_stored_events_join_those_of_the_log(client):
  log = client.get("/v1/users/u06").json()["events"]
  dated = [event for event in log if "time" in event]
  again = {"events": [dated[-1], {**dated[-1], "time": TIMES[-1] + 10**7}]}
  client.post("/v1/users/u06/events", json=again)
  both = client.get("/v1/users/u06").json()["events"]
  assert len(both) == len(log) + 1  # One of the two was there before.
  times = [event["time"] for event in both if "time" in event]
  assert times == sorted(times)


def test_a_repeated_event_with_a_time_is_read_once(client):
  """So a client may repeat a call that it got no answer to."""
  given = {"events": _events(104, 105, time=TIMES[0])}
  for _ in range(2):
    client.post("/v1/users/repeats/events", json=given)
  read = client.get("/v1/users/repeats").json()["events"]
  assert [event["item"] for event in read] == [104, 105]


def test_a_deleted_user_is_forgotten_for_good(client):
  client.post("/v1/users/u07/events", json={"events": _events(104)})
  assert client.get("/v1/users/u07").json()["stored"] == 1
  assert client.delete("/v1/users/u07").json()["stored"] == 1
  assert client.get("/v1/users/u07").json()["events"] == []
  answer = client.post("/v1/retrieve", json={"user": "u07"}).json()
  assert answer["history"] == "none"


def test_ids_may_hold_anything(client):
  for user in ("a/b", "a b", "ü", "a%2Fb", "x/events"):
    path = "/v1/users/" + parse.quote(user, safe="")
    stored = client.post(f"{path}/events", json={"events": _events(104)})
    assert stored.json()["user"] == user
    answer = client.post("/v1/retrieve", json={"user": user}).json()
    assert answer["history"] == "stored", user


def test_an_item_is_found_once_it_is_added_and_gone_once_it_is_deleted(client):
  only = {"user": "x", "filters": {"include": ["new", 103]}}
  before = client.post("/v1/retrieve", json=only).json()
  assert _items(before) == [103]
  assert before["unknown_items"] == ["new"]
  features = {"author": "a1", "tag": ["t0", "t1"]}
  added = client.put("/v1/items/new", json={"features": features}).json()
  assert added["items"] == 28
  after = client.post("/v1/retrieve", json=only).json()
  assert {*_items(after)} == {103, "new"}
  assert after["index"] == added["index"]
  listed = client.get("/v1/items", params={"query": "new"}).json()
  assert listed["total"] == 1
  assert listed["items"][0]["added"]
  assert listed["items"][0]["features"]["tag"] == ["t0", "t1"]
  gone = client.delete("/v1/items/new").json()
  assert gone["items"] == 27
  assert client.delete("/v1/items/new").status_code == 404
  assert _items(client.post("/v1/retrieve", json=only).json()) == [103]


def test_titles_are_found_and_replaced(client):
  def found(text):
    page = client.get("/v1/items", params={"query": text}).json()
    return {str(one["item"]): one["title"] for one in page["items"]}

  assert found("POSTER 13") == {"113": "poster 13"}
  given = {"title": " An oak chair ", "features": {"author": "a1"}}
  client.put("/v1/items/chair", json=given)
  client.put("/v1/items/113", json={"features": {"author": "a1"}})
  assert found("oak CHAIR") == {"chair": "An oak chair"}
  assert found("poster 13") == {}
  assert found("113") == {"113": ""}  # A change replaces the title, too.
  body = {"user": "x", "filters": {"include": ["chair"]}}
  listed = client.post("/v1/explain", json=body).json()["items"]
  assert listed["chair"]["title"] == "An oak chair"
  client.delete("/v1/items/chair")
  client.put("/v1/items/113", json={"title": "poster 13"})
  assert client.put("/v1/items/i", json={"title": 3}).status_code == 422


def test_an_item_of_the_bundle_can_be_changed_and_deleted(client):
  changed = client.put("/v1/items/110", json={"features": {"author": "a0"}})
  assert changed.status_code == 200
  found = client.get("/v1/items", params={"query": "110"}).json()
  assert found["total"] == 1
  assert found["items"][0]["item"] == 110  # A number, as in the log.
  assert found["items"][0]["features"]["author"] == ["a0"]
  assert client.delete("/v1/items/110").status_code == 200
  only = {"user": "x", "filters": {"include": [110]}}
  assert _items(client.post("/v1/retrieve", json=only).json()) == []
  # A history may still have it.
  given = {"user": "x", "events": _events(110)}
  assert client.post("/v1/retrieve", json=given).json()["events_read"] == 1
  assert client.put("/v1/items/110", json={}).json()["items"] == 27


def test_an_answer_is_sent_at_once(client):
  def seconds():
    began = time.perf_counter()
    client.get("/v1/bundle")
    return time.perf_counter() - began

  # If the body waited for a confirmation of the header, most took 40 ms.
  assert sorted(seconds() for _ in range(40))[20] < 0.03


def test_items_come_in_pages(client):
  page: dict = {"next": 0}
  seen = []
  while page["next"] is not None:
    options = {"limit": 10, "after": page["next"]}
    page = client.get("/v1/items", params=options).json()
    seen += [str(one["item"]) for one in page["items"]]
  assert len(seen) == len({*seen}) == page["total"]


def test_several_requests_are_answered_each_on_its_own(client):
  given = [
    {"user": "a", "candidates": 2},
    {"user": "b", "budget": {"click": 2}},
    {"usr": 3},
    {"user": "c", "steps": 3},
    {"user": "d", "candidates": 21},
    {"user": "e", "offsets": [-1, 60, 120]},
    {"user": "f", "filters": {"exclude": [*range(100, 130), 100]}},
    {"user": "g", "events": _events(*[100] * 41)},
    {"user": "h", "candidates": 20, "steps": 2, "offsets": [-1, 60]},
  ]
  answers = client.post("/v1/retrieve", json={"requests": given}).json()
  found = answers["answers"]
  assert len(found[0]["candidates"]) == 2
  assert len(found[8]["candidates"]) == 20
  for place, words in {
    1: ("budget", "requests[1]", "'b'"),
    2: ("usr", "requests[2]"),
    3: ("steps: 3", "use 2 or fewer"),
    4: ("candidates: 21", "use 20 or fewer"),
    5: ("offsets: 3", "use 2 or fewer"),
    6: ("31", "use 30 or fewer"),
    7: ("events: 41", "use 40 or fewer"),
  }.items():
    for word in words:
      assert word in found[place]["error"], found[place]


def test_no_request_chooses_a_shape(client):
  """After the start nothing is compiled, whatever the requests are."""
  given = [
    {
      "user": f"u{n}",
      "events": _events(*range(100, 100 + n % 16)),
      "candidates": 1 + n % 20,
      "steps": 1 + n % 2,
      "offsets": [-1, 60][: 1 + n % 2],
      "filters": {"exclude": [*range(100, 100 + n % 13)]},
    }
    for n in range(40)
  ]
  began = time.monotonic()
  for size in (1, 2, 3, 5, 7, 40):
    answers = client.post("/v1/retrieve", json={"requests": given[:size]})
    assert all("candidates" in one for one in answers.json()["answers"])
  assert time.monotonic() - began < 5


@pytest.mark.parametrize(
  ("method", "path", "content", "status", "words"),
  [
    ("POST", "/v1/retrieve", b"", 422, "not valid JSON"),
    ("POST", "/v1/retrieve", b"[1]", 422, "expected"),
    ("POST", "/v1/retrieve", b"\xff\xfe", 422, "not valid JSON"),
    ("POST", "/v1/retrieve", b"[" * 50_000, 422, "nested too deeply"),
    ("POST", "/v1/retrieve", b'{"user": "a", "surface": "x"}', 422, "feed"),
    ("POST", "/v1/retrieve", b'{"user": "a", "item_type": "x"}', 422, "AD"),
    ("POST", "/v1/retrieve", b'{"user": "a", "budget": {"x": 1}}', 422, "save"),
    ("POST", "/v1/retrieve", b'{"user": "a", "budget": {"click": -1}}', 422,
     "budget"),
    ("POST", "/v1/retrieve", b'{"user": "a", "budget": {"click": NaN}}', 422,
     "budget"),
    ("POST", "/v1/retrieve", b'{"user": "a", "budget": "click:.5,click:.5"}',
     422, "click"),
    ("POST", "/v1/retrieve",
     b'{"user": "a", "budget": {"click": 0.5, "click": 1}}', 422, "twice"),
    ("POST", "/v1/retrieve", b"x" * 70_000, 413, "65536 bytes"),
    ("POST", "/v1/users/a/events", b'{"events": []}', 422, "1 to 40"),
    ("POST", "/v1/users/a/events", b'{"events": [{"itm": 1}]}', 422, "item"),
    ("POST", "/v1/users/a/events", b'{"events": [{"item": 1, "time": 9e9}]}',
     422, "future"),
    ("POST", "/v1/users/a/events", b'{"events": [{"item": 1, "time": -1}]}',
     422, "unix seconds"),
    ("POST", "/v1/users/ /events", b'{"events": [{"item": 1}]}', 422, "empty"),
    ("PUT", "/v1/items/i", b'{"vector": [1, 2]}', 422, "give 16"),
    ("PUT", "/v1/items/i", b'{"vector": [NaN' + b", 0" * 15 + b"]}", 422,
     "norm nan"),
    ("PUT", "/v1/items/i", b'{"features": {"x": 1}}', 422, "author"),
    ("PUT", "/v1/items/i", b'{"features": {"author": ["a", "b"]}}', 422,
     "at most 1"),
    ("PUT", "/v1/items/i", b'{"item_type": "x"}', 422, "NORMAL"),
    ("GET", "/v1/items?limit=0", b"", 422, "1 to 1000"),
    ("GET", "/v1/items?after=x", b"", 422, "whole number"),
    ("POST", "/v1/bundle", b'{"version": "../x"}', 404, "choose from"),
    ("GET", "/nothing", b"", 404, "/docs"),
    ("PUT", "/v1/retrieve", b"", 405, "/docs"),
  ],
)  # fmt: skip
def test_bad_calls_name_the_fault(client, method, path, content, status, words):
  response = client.request(method, path, content=content)
  assert response.status_code == status, response.text
  assert words in response.json()["error"]


def test_vectors_must_be_unit_vectors(client):
  for vector, words in (
    ([0.0] * 16, "norm 0"),
    ([1.0] * 16, "norm 4"),
    ([1e200] * 16, "norm"),
  ):
    response = client.put("/v1/items/v", json={"vector": vector})
    assert response.status_code == 422
    assert words in response.json()["error"]
  unit = [1.0] + [0.0] * 15
  assert client.put("/v1/items/v", json={"vector": unit}).status_code == 200
  assert client.delete("/v1/items/v").status_code == 200


@pytest.mark.parametrize(
  ("timeout", "status"),
  [("0.00001", 504), ("nan", 422), ("x", 422), ("5", 200)],
)
def test_a_deadline_is_kept(client, timeout, status):
  response = client.post(
    "/v1/retrieve", json={"user": "a"}, headers={"x-request-timeout": timeout}
  )
  assert response.status_code == status


def test_a_slow_client_is_cut_off(server):
  for start in (b"POST /v1/ret", b"POST /v1/retrieve HTTP/1.1\r\nhost: x\r\n"
                b"content-length: 100\r\n\r\n{"):  # fmt: skip
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
      connection.sendall(start)
      began = time.monotonic()
      connection.settimeout(10)
      with contextlib.suppress(ConnectionError):
        while time.monotonic() - began < 30:
          connection.sendall(b"x")
          time.sleep(0.2)
      assert time.monotonic() - began < 20


def test_large_headers_are_refused(server):
  with socket.create_connection(("127.0.0.1", server.port)) as connection:
    connection.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\na: " + b"x" * 40_000)
    connection.sendall(b"\r\n\r\n")
    connection.settimeout(10)
    answer = connection.recv(100)
  assert b" 200 " not in answer


def test_metrics_count_what_happened(client):
  client.post("/v1/users/skew/events", json={"events": _events(104)})
  client.post("/v1/retrieve", json={"user": "skew"})
  lines = client.get("/metrics").text.splitlines()
  values = dict(line.rsplit(" ", 1) for line in lines if line[:1] != "#")
  assert float(values['pinrec_requests_total{kind="answered"}']) >= 1
  for stage in ("queue", "parse", "model", "search", "merge", "total"):
    assert float(values[f'pinrec_stage_seconds_count{{stage="{stage}"}}']) >= 1
  assert float(values['pinrec_skew_total{result="equal"}']) >= 1
  assert 'pinrec_skew_total{result="different"}' not in values
  assert float(values["pinrec_ready"]) == 1
  assert any(line.startswith("pinrec_bundle_info{") for line in lines)


def test_the_document_describes_the_calls(client):
  document = client.get("/openapi.json").json()
  assert document == json.loads(msgspec.json.encode(openapi.document()))
  for path in document["paths"]:
    assert path.startswith(("/v1/", "/livez", "/readyz"))
  for page in ("/", "/docs"):
    response = client.get(page)
    assert response.status_code == 200
    assert "default-src 'self'" in response.headers["content-security-policy"]


def test_a_swap_and_the_way_back_keep_what_was_changed(client):
  client.put("/v1/items/kept", json={"features": {"author": "a2"}})
  client.post("/v1/users/swap/events", json={"events": _events("kept")})
  before = client.get("/v1/bundle").json()
  (other,) = {*before["versions"]} - {before["version"]}
  only = {"user": "swap", "events": [], "filters": {"include": ["kept"]}}
  first = client.post("/v1/retrieve", json=only).json()
  after = client.post("/v1/bundle", json={"version": other}).json()
  assert after["version"] == other
  assert after["previous"] == before["version"]
  second = client.post("/v1/retrieve", json=only).json()
  assert _items(first) == _items(second) == ["kept"]
  assert second["bundle"] == other
  assert first["candidates"][0]["score"] != second["candidates"][0]["score"]
  back = {"version": after["previous"]}
  assert (
    client.post("/v1/bundle", json=back).json()["version"]
    == (before["version"])
  )
  third = client.post("/v1/retrieve", json=only).json()
  assert third["candidates"] == first["candidates"]
