"""A server that follows the pointer to the current bundle."""

import asyncio
import shutil
import time

import pytest

from pinrec_jax.inference import bundle_folders
from pinrec_jax.serve import watch
from pinrec_jax.serve.errors import RefusedError


class Service:
  """A service whose swaps are recorded, or fail."""

  def __init__(self):
    self.serving, self.version = self, "a"
    self.current_version = "a"
    self.error: Exception | None = None
    self.unreachable = False
    self.swaps = []

  async def follow(self):
    if self.unreachable:
      raise RefusedError(503, "the bucket cannot be reached")

  async def swap(self, body):
    self.swaps.append(self.current_version)
    if self.error:
      raise self.error
    self.version = self.current_version
    return self


def watched(served, *steps):
  """Runs steps with some looks at the pointer after each of them."""

  async def run():
    task = asyncio.create_task(watch.watch(served, 0.001))
    for step in steps:
      step()
      await asyncio.sleep(0.05)
    assert not task.done()
    task.cancel()

  asyncio.run(run())


def test_a_bundle_that_became_current_is_served_once():
  served = Service()
  watched(
    served,
    lambda: None,
    lambda: setattr(served, "current_version", "b"),
    lambda: setattr(served, "current_version", ""),
    lambda: setattr(served, "current_version", "a"),
    lambda: setattr(served, "current_version", "b"),
  )
  assert served.swaps == ["b", "a", "b"]
  assert served.version == "b"


@pytest.mark.parametrize("error", [ValueError("damaged"), OSError("no disk")])
def test_a_bundle_that_fails_is_tried_once(error):
  served = Service()
  served.error = error
  watched(
    served,
    lambda: setattr(served, "current_version", "b"),
    lambda: setattr(served, "current_version", "c"),
  )
  assert served.swaps == ["b", "c"]
  assert served.version == "a"


def test_a_bucket_that_comes_back_is_followed_again():
  served = Service()
  served.unreachable = True
  watched(
    served,
    lambda: setattr(served, "current_version", "b"),
    lambda: setattr(served, "unreachable", False),
  )
  assert served.swaps == ["b"]


def test_a_swap_that_is_going_on_is_waited_for():
  served = Service()
  served.error = RefusedError(409, "another bundle is being loaded")
  watched(
    served,
    lambda: setattr(served, "current_version", "b"),
    lambda: setattr(served, "error", None),
  )
  assert len(served.swaps) > 2
  assert served.version == "b"


def test_a_server_follows_the_pointer(make_workdir, start):
  workdir = make_workdir(versions=2)
  folder = workdir / "bundles"
  own = bundle_folders.current(folder)
  (other,) = {*bundle_folders.versions(folder)} - {own}
  server = start(workdir, "--config.serve.watch_seconds=1").ready()
  with server.client() as client:
    shutil.copytree(folder / other, folder / "damaged")
    (folder / "damaged" / "params.safetensors").write_bytes(b"")
    for pointer, expected in (("damaged", own), (other, other)):
      bundle_folders.set_current(folder, pointer)
      deadline = time.monotonic() + 120
      while client.get("/v1/bundle").json()["version"] != expected:
        assert time.monotonic() < deadline
        time.sleep(0.2)
      time.sleep(3 if pointer == "damaged" else 0)
    assert client.get("/v1/bundle").json()["previous"] == own
    # The pointer stays where it was set.
    assert bundle_folders.current(folder) == other
  assert "bundle damaged is not served" in server.errors()
