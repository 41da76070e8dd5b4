"""Buckets in memory, and machines with a local disk each."""

import fsspec
import httpx
import pytest
import s3fs
from moto import server as moto_server


@pytest.fixture
def bucket():
  """An empty bucket in memory: from names to content."""
  system = fsspec.filesystem("memory")
  system.store.clear()
  system.pseudo_dirs[:] = [""]
  yield system
  system.store.clear()
  system.pseudo_dirs[:] = [""]


@pytest.fixture
def machine(tmp_path, monkeypatch):
  """Returns the function that makes this process run on a named machine.

  Each machine has its own local copies of buckets.
  """

  def use(name):
    folder = tmp_path / "machines" / name
    monkeypatch.setenv("PINREC_STAGING", str(folder))
    return folder

  use("first")
  return use


@pytest.fixture(scope="module")
def tiny(tiny_config):
  """Returns the function from a folder of prepared logs to a configuration."""

  def config_of(prepared):
    config = tiny_config(prepared)
    config.model.backbone = "pooled"  # It compiles fastest.
    config.train.eval_every = 2
    config.decode.steps = 1
    config.evals.sweep, config.evals.twin = (), False
    return config

  return config_of


@pytest.fixture
def forget_s3():
  """Returns the function that drops connections and their settings."""
  from pinrec_jax.buckets import objects

  def forget():
    s3fs.S3FileSystem.clear_instance_cache()
    objects.file_system.cache_clear()

  return forget


@pytest.fixture
def endpoint(monkeypatch, machine, forget_s3):
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
  # A test may have made this process ask for credentials.
  httpx.post(f"{address}/moto-api/reset-auth", content=b"inf")
  forget_s3()
  s3fs.S3FileSystem().mkdir("bucket")
  yield address
  forget_s3()
  running.stop()
