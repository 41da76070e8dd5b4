"""What the page shows beside an answer."""


def test_the_twin_does_not_depend_on_the_budget(client):
  bodies = [
    {"user": "u05", "candidates": 6, "budget": budget}
    for budget in ({"click": 1}, {"like": 1})
  ]
  one, other = (client.post("/v1/explain", json=body).json() for body in bodies)
  assert len(one["twin"]) == 6
  assert one["twin"] == other["twin"]
  assert one["answer"]["candidates"] != other["answer"]["candidates"]
  plain = client.post("/v1/retrieve", json=bodies[0]).json()
  assert one["answer"] == plain
  # The same events in the request give the same lists.
  events = client.get("/v1/users/u05").json()["events"]
  given = client.post("/v1/explain", json=bodies[0] | {"events": events}).json()
  assert given["twin"] == one["twin"]
  seconds = one["milliseconds"]
  assert seconds["total"] >= seconds["model"] > 0


def test_every_outcome_of_the_budget_has_its_vector_and_its_share(client):
  budget = {"click": 0.5, "like": 0.5}
  body = {"user": "u05", "budget": budget, "candidates": 6}
  found = client.post("/v1/explain", json=body).json()
  assert {vector["outcome"] for vector in found["map"]["vectors"]} == {*budget}
  assert found["answer"]["achieved"] == budget


def test_a_stored_event_of_an_unknown_item_does_not_disturb(client):
  event = {"item": "nowhere", "actions": ["click"], "features": {"tag": "t0"}}
  client.post("/v1/users/odd/events", json={"events": [event, {"item": 104}]})
  found = client.post("/v1/explain", json={"user": "odd"}).json()
  assert found["answer"]["events_read"] == 2
  assert len(found["map"]["history"]) == 1
  client.delete("/v1/users/odd")


def test_the_map_says_where_each_item_is(client):
  background = client.get("/v1/info").json()["background"]
  assert len(background) == 27
  found = client.post("/v1/explain", json={"user": "u05"}).json()
  places, listed = found["map"]["items"], found["answer"]["candidates"]
  assert len(places) == len(listed)
  items = client.get("/v1/items").json()["items"]
  added = {one["item"] for one in items if one["added"]}
  # All items of the bundle are in the background of such a small catalog.
  assert all(
    at in background
    for at, one in zip(places, listed, strict=True)
    if one["item"] not in added
  )


def test_an_invalid_request_is_not_explained(client):
  found = client.post("/v1/explain", json={"user": "u05", "candidates": 21})
  assert found.status_code == 422
  assert "candidates" in found.json()["error"]
