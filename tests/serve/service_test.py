"""The service without HTTP."""

import asyncio
import gc
import json
import subprocess
import sys
import weakref

import pytest

from pinrec_jax import config as config_lib
from pinrec_jax import pace
from pinrec_jax.inference import bundle_folders
from pinrec_jax.serve import service, serving, sqlite_store


def test_a_swap_frees_the_old_bundle_without_the_collector(make_workdir):
  workdir = make_workdir(versions=2)
  bundles = workdir / "bundles"
  config = config_lib.Config(
    index=config_lib.Index(kind="sharded"),
    serve=config_lib.Serve(max_batch=1, max_candidates=5, max_hidden=5),
  )

  async def run():
    store = sqlite_store.SqliteStore(workdir / "store", max_events=5)
    served = service.Service(config, bundles, store)
    await served.start()
    try:
      old = served.serving
      (other,) = {*bundle_folders.versions(bundles)} - {old.version}
      gone = [weakref.ref(x) for x in (old, old.bundle, old.live.snapshot)]
      del old
      gc.disable()
      await served.swap(json.dumps({"version": other}).encode())
      assert served.serving.version == other
      assert [one() for one in gone] == [None, None, None]
    finally:
      gc.enable()
      await served.stop()

  try:
    asyncio.run(run())
  finally:
    gc.unfreeze()


def test_only_a_swap_rests_and_uses_compiled_programs_again(
  make_workdir, monkeypatch
):
  """While a server starts, it has no requests to wait for."""
  workdir = make_workdir(versions=2)
  config = config_lib.Config(
    index=config_lib.Index(kind="exact"),
    serve=config_lib.Serve(max_batch=1, max_candidates=5, max_hidden=5),
  )
  calls, load = [], serving.load

  def loaded(folder, config, rest=None, running=None):
    calls.append((rest, running))
    return load(folder, config, running=running)

  monkeypatch.setattr(serving, "load", loaded)

  async def run():
    store = sqlite_store.SqliteStore(workdir / "store", max_events=5)
    served = service.Service(config, workdir / "bundles", store)
    await served.start()
    try:
      await served.swap(b"{}")
    finally:
      await served.stop()

  asyncio.run(run())
  start, (rest, running) = calls
  assert start == (None, None)
  assert isinstance(rest, pace.Pace)
  assert isinstance(running, serving.Serving)


GROWTH = """
import threading, numpy as np
from pinrec_jax.serve import memory
KEEP
def resident():
  with open("/proc/self/status") as file:
    line = next(x for x in file if x.startswith("RssAnon"))
  return int(line.split()[1]) / 1024
kept = []
def load():
  arrays = [np.ones(300_000, np.uint8) for _ in range(40)]
  kept.append(np.ones(1000, np.uint8))  # A small array that stays.
  del arrays
before = resident()
for _ in range(20):
  threads = [threading.Thread(target=load) for _ in range(4)]
  [t.start() for t in threads], [t.join() for t in threads]
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
def test_large_arrays_are_given_back_when_they_are_freed():
  program = GROWTH.replace("KEEP", "memory.keep_small()")
  done = subprocess.run(
    [sys.executable, "-c", program], capture_output=True, text=True, check=True
  )
  assert float(done.stdout) < 4
