"""A server in a process of its own, with an untrained model over `world`."""

import asyncio
import dataclasses
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import fleet
import httpx
import pytest
import redis.asyncio

CONFIG = """
from pinrec_jax import config as config_lib

def get_config():
  return config_lib.Config(
    decode=config_lib.Decode(candidates=5),
    index=config_lib.Index(kind="exact"),
    evals=config_lib.Evals(sweep=()),
    serve=config_lib.Serve(
      port=0, max_batch=8, max_candidates=20, max_steps=2, max_offsets=2,
      max_hidden=30, max_events=40, max_body_kb=64, receive_seconds=2.0,
      drain_seconds=5.0,
    ),
  )
"""


def write_config(workdir):
  """Writes the configuration of a server and returns its file."""
  config = workdir / "serve_config.py"
  config.write_text(textwrap.dedent(CONFIG))
  return config


class Server:
  """A running server, and a client of it."""

  def __init__(self, workdir, *flags, env=None):
    config = write_config(workdir)
    self.workdir = workdir
    self._errors = (workdir / "errors.txt").open("w+")
    command = [
      sys.executable, "-m", "pinrec_jax.main", f"--config={config}",
      f"--workdir={workdir}", "--mode=serve", *flags,
    ]  # fmt: skip
    self.process = subprocess.Popen(
      command,
      stdout=subprocess.PIPE,
      stderr=self._errors,
      text=True,
      env=env,
      cwd=pathlib.Path(__file__).parents[2],
    )
    assert self.process.stdout is not None
    self.first_line = self.process.stdout.readline().strip()
    self.address = self.first_line.rpartition(" ")[2]

  @property
  def port(self):
    return int(self.address.rpartition(":")[2])

  def client(self, **options):
    return httpx.Client(base_url=self.address, timeout=60, **options)

  def ready(self, seconds=300):
    """Waits until requests are answered, and returns itself."""
    deadline = time.monotonic() + seconds
    with self.client() as client:
      while client.get("/readyz").status_code != 200:
        assert self.process.poll() is None, self.errors()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return self

  def errors(self):
    self._errors.seek(0)
    return self._errors.read()

  def stop(self, signal_number=signal.SIGTERM):
    """Ends the server by a signal and returns its exit status."""
    if self.process.poll() is None:
      self.process.send_signal(signal_number)
    status = self.process.wait(60)
    for file in (self.process.stdout, self._errors):
      if file is not None:
        file.close()
    return status


@pytest.fixture(scope="session")
def make_workdir(tmp_path_factory, world, untrained_once):
  """Returns the function that makes a work folder with bundles."""
  from pinrec_jax.data import statistics
  from pinrec_jax.inference import bundle, users

  def make(*, twin=False, versions=1):
    workdir = tmp_path_factory.mktemp("serve")
    for conditioned, folder in ((True, workdir), (False, workdir / "uc")):
      if not conditioned and not twin:
        continue
      for version in range(versions):
        full = dataclasses.replace(
          untrained_once(conditioned, version),
          popular=statistics.most_popular(world),
          users=users.of_log(world.users, world.events),
        )
        bundle.save(full, folder / "bundles")
    return workdir

  return make


@pytest.fixture(scope="session")
def untrained_once(world):
  """Returns the function from a kind of model to a bundle."""
  import jax
  import numpy as np
  import optax

  from pinrec_jax import config as config_lib
  from pinrec_jax.data import statistics
  from pinrec_jax.inference import bundle
  from pinrec_jax.model import pinrec
  from pinrec_jax.training import state

  def make(conditioned, version):
    config = config_lib.Config(
      data=config_lib.Data(sequence_length=16),
      model=config_lib.Model(
        hidden_dim=16, num_layers=1, num_heads=2, embedding_dim=16,
        table_size=64, conditioned=conditioned,
      ),
      decode=config_lib.Decode(candidates=5),
      index=config_lib.Index(kind="exact", filter_seen="engagements"),
    )  # fmt: skip
    model = pinrec.of_config(config, world.vocabulary)
    shapes = jax.eval_shape(
      lambda: state.create(model, optax.identity()).params
    )
    rng = np.random.default_rng(version)
    params = jax.tree.map(
      lambda x: rng.normal(size=x.shape, scale=0.5).astype(x.dtype), shapes
    )
    return bundle.create(
      config_lib.inference(config),
      params,
      world.catalog,
      statistics.outcome_fractions(world),
      step=version,
    )

  return make


@pytest.fixture(scope="session")
def start():
  """Returns the function that starts a server, which the session ends."""
  started = []

  def of_workdir(workdir, *flags, **options):
    started.append(Server(workdir, *flags, **options))
    return started[-1]

  yield of_workdir
  for server in started:
    server.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def server(make_workdir, start):
  """A server that the tests of a session share."""
  return start(make_workdir(twin=True, versions=2)).ready()


@pytest.fixture
def client(server):
  with server.client() as client:
    yield client


@pytest.fixture
def make_redis(tmp_path_factory):
  """Returns the function that starts a Redis; skipped where there is none."""
  if not fleet.program("redis-server"):
    pytest.skip("redis-server is not installed")
  started = []

  def make():
    started.append(fleet.Redis(tmp_path_factory.mktemp("redis")))
    return started[-1]

  yield make
  for server in started:
    if server.process.poll() is None:
      server.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def _shared_redis(tmp_path_factory):
  if not fleet.program("redis-server"):
    pytest.skip("redis-server is not installed")
  server = fleet.Redis(tmp_path_factory.mktemp("redis"))
  yield server
  server.stop()


@pytest.fixture
def redis_address(_shared_redis):
  """The address of an empty Redis."""

  async def empty():
    client = redis.asyncio.from_url(_shared_redis.address)
    await client.flushdb()
    await client.aclose()

  asyncio.run(empty())
  return _shared_redis.address


@pytest.fixture(scope="session")
def configured():
  """Returns the function that writes the configuration of a server."""
  return write_config
