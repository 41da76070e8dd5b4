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

from pinrec_jax.serve import server as server_lib

KILLS = 2  # In every run; the slow test kills more often.


@pytest.fixture
def fails(start):
  """Returns the function to the exit status and the error of a server."""

  def of_workdir(workdir, *flags):
    server = start(workdir, *flags)
    status = server.process.wait(120)
    return status, server.errors()

  return of_workdir


@pytest.fixture(scope="module")
def workdir(make_workdir):
  return make_workdir(versions=2)


def test_without_a_bundle_it_does_not_start(fails, tmp_path):
  status, errors = fails(tmp_path)
  assert status == 1
  assert "run --mode=index first" in errors
  assert "Traceback" not in errors


def test_a_taken_port_is_named(fails, workdir):
  with socket.create_server(("127.0.0.1", 0)) as taken:
    port = taken.getsockname()[1]
    status, errors = fails(workdir, f"--config.serve.port={port}")
  assert status == 1
  assert f"127.0.0.1:{port} cannot be used" in errors


def test_other_addresses_need_a_token(fails, workdir, tmp_path):
  status, errors = fails(workdir, "--config.serve.host=0.0.0.0")
  assert status == 1
  assert "serve.token_file" in errors
  (tmp_path / "empty").write_text("\n")
  for name, words in (("empty", "is empty"), ("none", "cannot be read")):
    flag = f"--config.serve.token_file={tmp_path / name}"
    status, errors = fails(workdir, flag)
    assert status == 1
    assert words in errors


def test_an_address_that_does_not_exist_is_named(fails, workdir):
  status, errors = fails(workdir, "--config.serve.host=no.such.host.invalid")
  assert status == 1
  assert "no.such.host.invalid" in errors


def test_a_token_is_required_for_everything_but_health_and_the_page(
  make_workdir, start
):
  env = {**os.environ, server_lib.TOKEN: "s3cret"}
  server = start(make_workdir(), env=env).ready()
  with server.client() as client:
    for path in ("/", "/page/page.js", "/livez", "/readyz"):
      assert client.get(path).status_code == 200, path
    for path in ("/v1/info", "/metrics", "/openapi.json", "/v1/bundle"):
      assert client.get(path).status_code == 401, path
    given = {"user": "a"}
    for value in ("", "Bearer", "Bearer wrong", "Basic s3cret", "s3cret"):
      headers = {"authorization": value}
      answer = client.post("/v1/retrieve", json=given, headers=headers)
      assert answer.status_code == 401
      assert "Bearer TOKEN" in answer.json()["error"]
    headers = {"authorization": "Bearer s3cret"}
    answer = client.post("/v1/retrieve", json=given, headers=headers)
    assert answer.status_code == 200
  assert "s3cret" not in server.errors()


def test_two_servers_cannot_share_a_store(fails, workdir, start):
  first = start(workdir).ready()
  status, errors = fails(workdir)
  assert status == 1
  assert "is open in another process" in errors
  with first.client() as client:
    assert client.post("/v1/retrieve", json={"user": "a"}).status_code == 200
  assert first.stop() == 0


def test_a_damaged_store_is_refused_with_the_remedy(fails, make_workdir):
  workdir = make_workdir()
  (workdir / "store.sqlite").write_bytes(b"not a database" * 1000)
  status, errors = fails(workdir)
  assert status == 1
  assert "move it away" in errors


def test_a_damaged_bundle_leaves_the_old_one(make_workdir, start):
  workdir = make_workdir(versions=2)
  server = start(workdir).ready()
  with server.client() as client:
    served = client.get("/v1/bundle").json()
    (other,) = {*served["versions"]} - {served["version"]}
    place = workdir / "bundles" / other / "vectors.npy"
    place.write_bytes(place.read_bytes()[:-8] + b"damaged!")
    answer = client.post("/v1/bundle", json={"version": other})
    assert answer.status_code == 422
    assert "vectors.npy" in answer.json()["error"]
    assert client.get("/v1/bundle").json()["version"] == served["version"]
    assert client.post("/v1/retrieve", json={"user": "a"}).status_code == 200


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
  workdir = make_workdir(versions=2)
  server = start(workdir)
  if moment == "swapping":
    server.ready()
    with (
      concurrent.futures.ThreadPoolExecutor() as pool,
      server.client() as client,
    ):
      pool.submit(client.post, "/v1/bundle", json={})
      time.sleep(0.3)
      began = time.monotonic()
      status = server.stop()
  else:
    time.sleep(0.5)
    began = time.monotonic()
    status = server.stop()
  assert status in (0, -signal.SIGTERM)
  assert time.monotonic() - began < 20
  assert start(workdir).ready().stop() == 0  # The store is not locked.


def test_a_full_server_says_when_to_try_again(make_workdir, start):
  server = start(make_workdir(), "--config.serve.max_queue=4").ready()
  given = {"requests": [{"user": f"u{n}"} for n in range(4)]}
  with (
    server.client() as client,
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
  """Returns the events and items that were acknowledged before a kill."""
  events, items, deleted = [], [], []

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
  return events, {*items}, {*deleted}


def _check_kills(make_workdir, start, kills):
  workdir = make_workdir()
  random.seed(0)
  events, items, deleted = [], set(), set()
  for seed in range(kills):
    server = start(workdir).ready()
    own = _acknowledged(server, seed, random.uniform(0.2, 2.0))
    events += own[0]
    items |= own[1]
    deleted |= own[2]
  server = start(workdir, "--config.serve.max_events=10000").ready()
  assert events
  assert items
  with server.client() as client:
    stored, after = set(), 0
    while after is not None:
      page = client.get("/v1/items", params={"limit": 1000, "after": after})
      stored |= {str(one["item"]) for one in page.json()["items"]}
      after = page.json()["next"]
    assert items - deleted <= stored
    assert not deleted & stored
    for user in {user for user, _ in events}:
      found = client.get(f"/v1/users/{user}").json()["events"]
      wanted = [item for owner, item in events if owner == user][-40:]
      assert {*wanted[1:]} <= {one["item"] for one in found}
    include = [*items][:10]
    only = {"user": "x", "candidates": 20, "filters": {"include": include}}
    answer = client.post("/v1/retrieve", json=only).json()
    listed = {one["item"] for one in answer["candidates"]}
    assert listed == {*include} - deleted
  assert server.stop() == 0


def test_a_killed_server_loses_nothing_that_was_acknowledged(
  make_workdir, start
):
  _check_kills(make_workdir, start, KILLS)


@pytest.mark.slow
def test_twenty_kills_lose_nothing_that_was_acknowledged(make_workdir, start):
  _check_kills(make_workdir, start, 20)


def test_requests_go_on_during_swaps(make_workdir, start):
  workdir = make_workdir(versions=2)
  server = start(workdir).ready()
  with server.client() as client:
    versions = client.get("/v1/bundle").json()["versions"]
  stop, seconds, seen = [], [], set()

  def ask(worker):
    with server.client() as client:
      while not stop:
        began = time.monotonic()
        answer = client.post("/v1/retrieve", json={"user": f"u{worker}"})
        seconds.append(time.monotonic() - began)
        assert answer.status_code == 200, answer.text
        seen.add(answer.json()["bundle"])

  with (
    server.client() as client,
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
  assert server.stop() == 0
  current = (workdir / "bundles" / "current").read_text().strip()
  assert current == versions[-1]


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
  assert "pinrec-jax[serve]" in found.stderr
