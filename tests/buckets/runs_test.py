"""Runs whose work folder and prepared log are in a bucket."""

import asyncio
import json
import pathlib
import threading
import time

import pytest

import pinrec_jax
from pinrec_jax import cli
from pinrec_jax import config as config_lib
from pinrec_jax.buckets import mirror, objects, work_folder
from pinrec_jax.inference import bundle_folders
from pinrec_jax.serve import service, sqlite_store, watch
from pinrec_jax.serve.errors import RefusedError
from pinrec_jax.training import loop

RUN = "memory://b/run"
S3_RUN = "s3://bucket/runs/first"
REQUEST = {"user": "me", "events": [{"item": 1}, {"item": 5}]}
FIGURES = ("index_seconds", "train_seconds", "train_tokens_per_s")


def answers(workdir):
  """Returns the answer of the current bundle."""
  retriever = pinrec_jax.Retriever.load(workdir)
  return list(retriever.retrieve([REQUEST]))


def report(content):
  """Returns the figures of a report without times."""
  found = json.loads(content)
  for section in found.values():
    for name in FIGURES:
      section.pop(name, None)
  return found


@pytest.fixture(scope="module")
def local(tmp_path_factory, tiny):
  """Returns the work folder of a run on the local disk."""
  folder = tmp_path_factory.mktemp("local")
  config = tiny(folder / "prepared")
  for mode in ("train", "index", "evaluate"):
    cli.run(mode, config, folder / "run")
  return folder / "run"


def test_a_run_on_new_machines_equals_a_local_run(
  tiny, bucket, machine, local, monkeypatch
):
  """Each machine has an empty disk. The first one dies in its training."""
  config = tiny("memory://b/prepared")
  uploaded = threading.Event()
  real = mirror.Mirror.push

  def pushed(self, *args):
    real(self, *args)
    uploaded.set()

  with monkeypatch.context() as patch:
    patch.setattr(mirror.Mirror, "push", pushed)
    seen = []

    def saved(folder, wait):
      work_folder_saved(folder, wait)
      assert uploaded.wait(60)
      uploaded.clear()
      seen.append(len(bucket.find("/b/run/checkpoints")))
      if len(seen) == 1:
        patch.setattr(mirror.Mirror, "push", lambda *_: None)
        raise KeyboardInterrupt  # Nothing is uploaded after it.

    work_folder_saved = work_folder.saved
    patch.setattr(loop.work_folder, "saved", saved)
    with pytest.raises(KeyboardInterrupt):
      cli.run("train", config, RUN)
  assert seen[0] > 3
  assert not bucket.exists("/b/run/report.json")
  for mode in ("train", "index", "evaluate"):
    machine(mode)
    cli.run(mode, config, RUN)
  # The log was prepared once.
  assert not (machine("evaluate") / "memory/b/prepared/downloads").exists()
  found = report(bucket.cat_file("/b/run/report.json"))
  assert found == report((local / "report.json").read_text())
  machine("reader")
  assert answers(RUN) == answers(local)
  assert answers(f"{RUN}/bundles") == answers(local)
  version = bundle_folders.current(local / "bundles")
  assert answers(pathlib.Path(f"{RUN}/bundles/{version}")) == answers(local)
  # A reader has no checkpoints.
  assert not (machine("reader") / "memory/b/run/checkpoints").exists()


def test_a_damaged_object_of_a_bundle_is_named(bucket, machine, local):
  for path in filter(pathlib.Path.is_file, (local / "bundles").rglob("*")):
    name = path.relative_to(local).as_posix()
    bucket.pipe_file(f"/b/run/{name}", path.read_bytes())
  (name,) = bucket.glob("/b/run/bundles/*/vectors.npy")
  good = bucket.cat_file(name)
  bucket.pipe_file(name, good[:-1] + b"?")
  for _ in range(2):
    with pytest.raises(ValueError, match=rf"memory:/{name} is damaged"):
      answers(RUN)
  bucket.pipe_file(name, good)
  assert answers(RUN) == answers(local)


def test_a_run_is_trained_indexed_read_and_served(
  endpoint, tiny, machine, monkeypatch, tmp_path
):
  config = tiny("s3://bucket/prepared")
  cli.run("train", config, S3_RUN)
  machine("second")
  cli.run("index", config, S3_RUN)
  machine("third")
  (answer,) = pinrec_jax.Retriever.load(S3_RUN).retrieve([REQUEST])
  assert len(answer["candidates"]) == 5
  # A second bundle, which is in no folder of the server's machine.
  workdir = machine("second") / "s3" / "bucket" / "runs" / "first"
  changed = config_lib.replace(config, **{"decode.candidates": 4})
  cli.run("index", changed, S3_RUN)
  other = bundle_folders.current(workdir / "bundles")
  assert other != answer["bundle"]
  point(answer["bundle"])
  machine("server")
  asyncio.run(served(config, monkeypatch, tmp_path, answer["bundle"], other))


def point(version):
  """Makes a bundle the current one, as an operator would do."""
  objects.Objects(S3_RUN).write("bundles/current", f"{version}\n".encode())


def gone(*_):
  """Stands for a network that is gone."""
  raise ConnectionError("no route to host")


async def swapped(running, body):
  """Swaps once no other swap is going on, such as the last part of one."""
  while True:
    try:
      return await running.swap(body)
    except RefusedError as refused:
      if refused.status != 409:
        raise
    await asyncio.sleep(0.1)


async def served(config, monkeypatch, tmp_path, first, other):
  """Serves the first bundle, and follows the pointer to the other one."""
  store = sqlite_store.SqliteStore(tmp_path / "store", max_events=5)
  limits = {"max_batch": 1, "max_candidates": 5, "max_hidden": 5}
  limits |= {"max_steps": 1, "max_offsets": 1}  # Few programs are compiled.
  config = config_lib.replace(
    config, **{f"serve.{name}": value for name, value in limits.items()}
  )
  folder = work_folder.readable(S3_RUN) / "bundles"
  running = service.Service(config, folder, store)
  await running.start()
  watching = asyncio.create_task(watch.watch(running, 0.1))
  try:
    assert running.served().version == first
    assert {*running.served().versions} == {first, other}
    point(other)
    deadline = time.monotonic() + 60
    while running.served().version != other:
      assert time.monotonic() < deadline
      await asyncio.sleep(0.1)
    # A call that goes back sets the pointer in the bucket, too.
    await swapped(running, b'{"version": "%s"}' % first.encode())
    pointer = objects.Objects(S3_RUN).read("bundles/current")
    assert pointer == f"{first}\n".encode()
    with monkeypatch.context() as patch:
      patch.setattr(objects.Objects, "list", gone)
      with pytest.raises(RefusedError, match="no route to host") as refused:
        await swapped(running, b"{}")
    assert refused.value.status == 503
    assert running.served().version == first
  finally:
    watching.cancel()
    await running.stop()
