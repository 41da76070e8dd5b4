"""Faults at the start, while running and at the end."""

import concurrent.futures
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import pytest

from pinrec_jax import config as config_lib
from pinrec_jax.serve import server as server_lib

TOKEN = "s3cret"
KILLS = 1  # In every run; the slow test kills more often.


def refused(workdir, **fields):
  """Returns the error of a server that does not start."""
  own = config_lib.Serve(**{"port": 0, **fields})
  config = config_lib.Config(evals=config_lib.Evals(sweep=()), serve=own)
  with pytest.raises((OSError, ValueError)) as caught:
    server_lib.serve(config, workdir)
  return str(caught.value)


@pytest.fixture(scope="module")
def workdir(make_workdir):
  return make_workdir(versions=2)


@pytest.fixture(scope="module")
def guarded(workdir, start):
  """A server with a short queue and a token."""
  env = {**os.environ, server_lib.TOKEN: TOKEN}
  return start(workdir, "--config.serve.max_queue=4", env=env).ready()


def client_of(server):
  return server.client(headers={"authorization": f"Bearer {TOKEN}"})


def test_without_a_bundle_it_does_not_start(tmp_path):
  assert "run --mode=index first" in refused(tmp_path)


def test_a_taken_port_is_named(workdir):
  with socket.create_server(("127.0.0.1", 0)) as taken:
    port = taken.getsockname()[1]
    errors = refused(workdir, port=port)
  assert f"127.0.0.1:{port} cannot be used" in errors


def test_other_addresses_need_a_token(workdir, tmp_path):
  assert "serve.token_file" in refused(workdir, host="0.0.0.0")
  (tmp_path / "empty").write_text("\n")
  for name, words in (("empty", "is empty"), ("none", "cannot be read")):
    assert words in refused(workdir, token_file=str(tmp_path / name))


def test_an_address_that_does_not_exist_is_named(workdir):
  host = "no.such.host.invalid"
  assert host in refused(workdir, host=host)


def test_two_servers_cannot_share_a_store(guarded, workdir):
  assert "is open in another process" in refused(workdir)


def test_a_damaged_store_is_refused_with_the_remedy(workdir, tmp_path):
  path = tmp_path / "store.sqlite"
  path.write_bytes(b"not a database" * 1000)
  assert "move it away" in refused(workdir, store=str(path))


def test_an_error_at_the_start_is_one_line_and_status_1(tmp_path, start):
  server = start(tmp_path)
  assert server.process.wait(120) == 1
  assert "run --mode=index first" in server.errors()
  assert "Traceback" not in server.errors()


def test_a_token_is_required_for_everything_but_health_and_the_page(guarded):
  with guarded.client() as client:
    for path in ("/", "/page/page.js", "/livez", "/readyz"):
      assert client.get(path).status_code == 200, path
    for path in ("/v1/info", "/metrics", "/openapi.json", "/v1/bundle"):
      assert client.get(path).status_code == 401, path
    given = {"user": "a"}
    for value in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN):
      headers = {"authorization": value}
      answer = client.post("/v1/retrieve", json=given, headers=headers)
      assert answer.status_code == 401
      assert "Bearer TOKEN" in answer.json()["error"]
  with client_of(guarded) as client:
    assert client.post("/v1/retrieve", json=given).status_code == 200
  assert TOKEN not in guarded.errors()


def test_sigterm_answers_what_is_open_and_ends_with_status_0(
  make_workdir, start
):
  server = start(make_workdir()).ready()
  given = {"requests": [{"user": f"u{n}"} for n in range(200)]}
  with (
    server.client() as client,
    concurrent.futures.ThreadPoolExecutor() as pool,
  ):
    answer = pool.submit(client.post, "/v1/retrieve", json=given)
    time.sleep(0.1)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 15
    found = answer.result()
  assert found.status_code == 200
  assert all("candidates" in one for one in found.json()["answers"])


@pytest.mark.parametrize("moment", ["loading", "swapping"])
def test_sigterm_while_a_bundle_is_loaded_ends_it(make_workdir, start, moment):
  workdir = make_workdir()
  server = start(workdir)
  if moment == "swapping":
    with (
      concurrent.futures.ThreadPoolExecutor() as pool,
      server.ready().client() as client,
    ):
      pool.submit(client.post, "/v1/bundle", json={})
      time.sleep(0.3)
      began = time.monotonic()
      status = server.stop()
  else:
    time.sleep(0.5)
    began = time.monotonic()
    status = server.stop()
  # At the very start nothing needs an end of its own.
  assert status == 0 or (moment == "loading" and status == -signal.SIGTERM)
  assert time.monotonic() - began < 20


def test_a_full_server_says_when_to_try_again(guarded):
  given = {"requests": [{"user": f"u{n}"} for n in range(4)]}
  with (
    client_of(guarded) as client,
    concurrent.futures.ThreadPoolExecutor(16) as pool,
  ):
    calls = [
      pool.submit(client.post, "/v1/retrieve", json=given) for _ in range(60)
    ]
    answers = [one for c in calls for one in c.result().json()["answers"]]
    many = {"requests": [{"user": "a"}] * 5}
    assert client.post("/v1/retrieve", json=many).status_code == 422
  errors = [one["error"] for one in answers if "error" in one]
  assert all("try again later" in error for error in errors)
  assert any("candidates" in one for one in answers)


def _acknowledged(server, seed, seconds):
  """Returns the events and items that were acknowledged before a kill.

  Also those whose deletion was begun, and acknowledged.
  """
  events, items, deleting, deleted = [], [], [], []

  def write(worker):
    number = 0
    with server.client() as client:
      while True:
        number += 1
        name = f"{seed}-{worker}-{number}"
        try:
          event = {"item": name, "actions": ["click"], "time": 10**9 + number}
          path = f"/v1/users/{seed}-{worker}/events"
          if client.post(path, json={"events": [event]}).status_code == 200:
            events.append((f"{seed}-{worker}", name))
          if client.put(f"/v1/items/{name}", json={}).status_code == 200:
            items.append(name)
          if number % 5 == 0:
            deleting.append(name)
            response = client.delete(f"/v1/items/{name}")
            assert response.status_code == 200
            deleted.append(name)
          client.post("/v1/retrieve", json={"user": f"{seed}-{worker}"})
        except Exception:
          return

  with concurrent.futures.ThreadPoolExecutor(4) as pool:
    workers = [pool.submit(write, n) for n in range(4)]
    time.sleep(seconds)
    server.process.send_signal(signal.SIGKILL)
    for worker in workers:
      worker.result()
  server.stop()
  return events, {*items}, {*deleting}, {*deleted}


def _check_kills(make_workdir, start, kills):
  workdir = make_workdir()
  random.seed(0)
  events, items, deleting, deleted = [], set(), set(), set()
  for seed in range(kills):
    server = start(workdir).ready()
    own = _acknowledged(server, seed, random.uniform(0.2, 2.0))
    events += own[0]
    items |= own[1]
    deleting |= own[2]
    deleted |= own[3]
  server = start(workdir, "--config.serve.max_events=10000").ready()
  assert events
  assert items
  with server.client() as client:
    stored, after = set(), 0
    while after is not None:
      page = client.get("/v1/items", params={"limit": 1000, "after": after})
      stored |= {str(one["item"]) for one in page.json()["items"]}
      after = page.json()["next"]
    assert items - deleting <= stored
    assert not deleted & stored
    for user in {user for user, _ in events}:
      found = client.get(f"/v1/users/{user}").json()["events"]
      wanted = [item for owner, item in events if owner == user][-40:]
      assert {*wanted[1:]} <= {one["item"] for one in found}
    include = [*items][:10]
    only = {"user": "x", "candidates": 20, "filters": {"include": include}}
    answer = client.post("/v1/retrieve", json=only).json()
    listed = {one["item"] for one in answer["candidates"]}
    assert {*include} - deleting <= listed <= {*include} - deleted
  assert server.stop() == 0


def test_a_killed_server_loses_nothing_that_was_acknowledged(
  make_workdir, start
):
  _check_kills(make_workdir, start, KILLS)


@pytest.mark.slow
def test_twenty_kills_lose_nothing_that_was_acknowledged(make_workdir, start):
  _check_kills(make_workdir, start, 20)


def test_requests_go_on_during_swaps(guarded, workdir):
  with client_of(guarded) as client:
    versions = client.get("/v1/bundle").json()["versions"]
  stop, seconds, seen = [], [], set()

  def ask(worker):
    with client_of(guarded) as client:
      while not stop:
        began = time.monotonic()
        answer = client.post("/v1/retrieve", json={"user": f"u{worker}"})
        seconds.append(time.monotonic() - began)
        assert answer.status_code == 200, answer.text
        seen.add(answer.json()["bundle"])

  with (
    client_of(guarded) as client,
    concurrent.futures.ThreadPoolExecutor(3) as pool,
  ):
    asking = [pool.submit(ask, n) for n in range(3)]
    for version in [*versions, *versions]:
      answer = client.post("/v1/bundle", json={"version": version})
      assert answer.json()["version"] == version
    stop.append(True)
    for one in asking:
      one.result()
  assert seen == {*versions}
  current = (workdir / "bundles" / "current").read_text().strip()
  assert current == versions[-1]


def test_a_damaged_bundle_leaves_the_old_one(guarded, workdir):
  with client_of(guarded) as client:
    served = client.get("/v1/bundle").json()
    (other,) = {*served["versions"]} - {served["version"]}
    place = workdir / "bundles" / other / "vectors.npy"
    place.write_bytes(place.read_bytes()[:-8] + b"damaged!")
    answer = client.post("/v1/bundle", json={"version": other})
    assert answer.status_code == 422
    assert "vectors.npy" in answer.json()["error"]
    assert client.get("/v1/bundle").json()["version"] == served["version"]
    assert client.post("/v1/retrieve", json={"user": "a"}).status_code == 200


def test_the_server_needs_its_packages(workdir, start):
  """Without the extra, the error names the package and the remedy."""
  start(workdir).stop(signal.SIGKILL)  # Writes the configuration.
  code = (
    "import sys; sys.modules['starlette'] = None; "
    "from pinrec_jax import main; from absl import app; "
    f"sys.argv = ['x', '--config={workdir / 'serve_config.py'}', "
    f"'--workdir={workdir}', '--mode=serve']; "
    "app.run(main.main, flags_parser=main._parse)"
  )
  root = pathlib.Path(__file__).parents[2]
  found = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, cwd=root
  )
  assert found.returncode == 1
  assert "needs the package starlette" in found.stderr
  assert ".[serve]" in found.stderr
