"""The path of a run through a server of S3 on this machine."""

import asyncio
import time

import httpx
import pytest
import s3fs
from moto import server as moto_server

import pinrec_jax
from pinrec_jax import cli
from pinrec_jax import config as config_lib
from pinrec_jax.buckets import objects, work_folder
from pinrec_jax.inference import bundle_folders
from pinrec_jax.serve import service, sqlite_store, watch

RUN = "s3://bucket/runs/first"
REQUEST = {"user": "me", "events": [{"item": 1}, {"item": 5}]}


def forget():
  """Drops the connections, which have the settings of the environment."""
  s3fs.S3FileSystem.clear_instance_cache()
  objects.file_system.cache_clear()


@pytest.fixture
def endpoint(monkeypatch, machine):
  """The address of a server with one bucket."""
  running = moto_server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
  running.start()
  address = f"http://127.0.0.1:{running.get_host_and_port()[1]}"
  for name, value in (
    ("AWS_ENDPOINT_URL", address),
    ("AWS_ACCESS_KEY_ID", "key"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
  ):
    monkeypatch.setenv(name, value)
  httpx.post(f"{address}/moto-api/reset")
  forget()
  s3fs.S3FileSystem().mkdir("bucket")
  yield address
  forget()
  running.stop()


def test_a_run_is_trained_indexed_read_and_served(
  endpoint, tiny, machine, tmp_path
):
  config = tiny("s3://bucket/prepared")
  cli.run("train", config, RUN)
  machine("second")
  cli.run("index", config, RUN)
  machine("third")
  (answer,) = pinrec_jax.Retriever.load(RUN).retrieve([REQUEST])
  assert len(answer["candidates"]) == 5
  # A second bundle, which is in no folder of the server's machine.
  workdir = machine("second") / RUN.replace(":/", "")
  objects.Objects(RUN).delete(["bundles/current"])
  cli.run("index", config_lib.replace(config, **{"decode.candidates": 4}), RUN)
  other = bundle_folders.current(workdir / "bundles")
  assert other != answer["bundle"]
  point(answer["bundle"])
  machine("server")
  asyncio.run(served(config, tmp_path, answer["bundle"], other))


def point(version):
  """Makes a bundle the current one, as an operator would do."""
  objects.Objects(RUN).write("bundles/current", f"{version}\n".encode())


async def served(config, tmp_path, first, other):
  """Serves the first bundle, and follows the pointer to the other one."""
  store = sqlite_store.SqliteStore(tmp_path / "store", max_events=5)
  limits = {"max_batch": 1, "max_candidates": 5, "max_hidden": 5}
  config = config_lib.replace(
    config, **{f"serve.{name}": value for name, value in limits.items()}
  )
  folder = work_folder.readable(RUN) / "bundles"
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
    await running.swap(b'{"version": "%s"}' % first.encode())
    pointer = objects.Objects(RUN).read("bundles/current")
    assert pointer == f"{first}\n".encode()
  finally:
    watching.cancel()
    await running.stop()


def test_a_missing_bucket_is_named(endpoint, tiny):
  config = tiny("s3://bucket/prepared")
  message = "s3://none/run cannot be used .* create the bucket, or correct the"
  with pytest.raises(FileNotFoundError, match=message):
    pinrec_jax.train(config, "s3://none/run")


def test_wrong_credentials_are_named(endpoint, tiny, monkeypatch):
  httpx.post(f"{endpoint}/moto-api/reset-auth", content=b"0")
  message = "s3://bucket/run.* cannot be used .* set credentials that may"
  with pytest.raises(PermissionError, match=message):
    pinrec_jax.train(tiny("s3://bucket/prepared"), "s3://bucket/run")
  for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
    monkeypatch.delenv(name)
  monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
  monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
  forget()
  with pytest.raises(PermissionError, match=message):
    pinrec_jax.train(tiny("s3://bucket/prepared"), "s3://bucket/run")
