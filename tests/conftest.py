"""Eight virtual devices, checked shapes, and one tiny log for every test."""

import atexit
import gc
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile

# Programs run for seconds here, so they are compiled without optimization.
# Fusion emitters alone would double the time of compilation.
os.environ["XLA_FLAGS"] = (
  os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
  " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
  " --xla_cpu_use_fusion_emitters=false"
  " --xla_cpu_parallel_codegen_split_count=1"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Many tests compile the same programs, some of them in other processes.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
  compiled = os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp()
  atexit.register(shutil.rmtree, compiled, ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import hypothesis
import numpy as np
import pandas as pd
import pytest

# A busy machine misses deadlines. Every run tries the same examples.
hypothesis.settings.register_profile(
  "pinrec", deadline=None, database=None, derandomize=True
)
hypothesis.settings.load_profile("pinrec")

# Fixtures import the package inside, because the hook that checks shapes is set
# after this file is read.

DAY = 86400
VALIDATION_FROM = 20_000 * DAY
TEST_FROM = VALIDATION_FROM + 2 * DAY


@pytest.fixture(autouse=True, scope="module")
def _clear_programs():
  """Drops the compiled programs of a test file after its last test.

  Each program for a CPU holds a few of the 65,530 memory maps that Linux gives
  a process. Above that number, the next compilation ends in a segmentation
  fault.
  """
  yield
  import jax

  jax.clear_caches()
  gc.collect()


@pytest.fixture(scope="session")
def mini(tmp_path_factory):
  """The embedded excerpt, prepared in a temporary folder."""
  from pinrec_jax import config
  from pinrec_jax.data import dataset

  folder = tmp_path_factory.mktemp("prepared")
  return dataset.load(config.Data(prepared_dir=str(folder)))


@pytest.fixture(scope="session")
def world():
  """A log in memory: thirty items, forty users and three outcomes.

  A user cycles through the items of one of three groups, so the next item can
  be learned. Items 127 to 129 occur in undated events only, and they are not
  candidates. User u00 never engaged, u01 has one event, and u02 has two undated
  events.
  """
  from pinrec_jax.data import catalog, dataset, schema

  rng = np.random.default_rng(0)
  items = pd.DataFrame(
    {
      "item": np.arange(100, 130),
      "item_type": ["AD" if n % 10 == 9 else "NORMAL" for n in range(30)],
      "author": [f"a{n % 5}" for n in range(30)],
      "tag.0": [f"t{n % 3}" for n in range(30)],
      "tag.1": [f"t{n % 4}" if n % 2 else None for n in range(30)],
      "dense.length": np.linspace(-1, 1, 30, dtype=np.float32),
      "title": [f"poster {n}" if n % 7 else None for n in range(30)],
    }
  )
  known = catalog.encode(
    items,
    np.arange(100, 127),
    actions=("click", "save", "like", "hide"),
    outcomes=3,
    surfaces=("unknown", "feed", "search"),
    validation_from=VALIDATION_FROM,
    test_from=TEST_FROM,
  )
  users, histories = [], []
  for user in range(40):
    size = {0: 6, 1: 1, 2: 2}.get(user, 16 + user % 5)
    place = np.arange(size)
    actions = np.zeros((size, 4), np.uint8)
    actions[:, 0] = rng.random(size) < 0.7
    actions[:, 1] = rng.random(size) < 0.3
    actions[:, 2] = rng.random(size) < 0.15
    if user == 0:
      actions[:] = [0, 0, 0, 1]
    elif user <= 2:
      actions[:] = [1, 0, 0, 0]
    # Events are half a day apart, and the last is in the test period.
    time = TEST_FROM + DAY + 60 * user - (size - 1 - place) * (DAY // 2)
    if user == 1:
      time -= 5 * DAY
    undated = 2 if user >= 2 else 0
    time[:undated] = schema.UNKNOWN_TIME
    item = 1 + (3 * (place + user) + user % 3) % 27
    item[:undated] = 28 + (user + place[:undated]) % 3
    users.append(f"u{user:02d}")
    histories.append(
      schema.Events(
        item=item.astype(np.int32),
        actions=actions,
        surface=np.where(time > 0, 1 + (place + user) % 2, 0).astype(np.int32),
        item_type=known.items.item_type[item],
        time=time.astype(np.int64),
        session=np.full(size, schema.UNKNOWN_SESSION, np.int32),
        engaged=actions[:, :3].max(-1) > 0,
        context=np.zeros(size, bool),
      )
    )
  return dataset.Dataset("world", known, tuple(users), tuple(histories))


@pytest.fixture
def small():
  """A small configuration for `world`. A test may change it."""
  from pinrec_jax import config

  return config.Config(
    data=config.Data(name="world", sequence_length=24),
    model=config.Model(
      hidden_dim=16,
      num_layers=1,
      num_heads=2,
      embedding_dim=16,
      table_size=64,
      offset_edges=(60, 86400),
    ),
    decode=config.Decode(steps=2, candidates=5),
    index=config.Index(filter_seen="engagements"),
    evals=config.Evals(
      cutoffs=(3, 6), batch_size=40, sweep=("click", "save", "like")
    ),
  )


@pytest.fixture
def brief():
  """A configuration of six steps on `world`. A test may change it."""
  from pinrec_jax import config as config_lib

  config = config_lib.Config(
    model=config_lib.Model(
      hidden_dim=16, num_heads=2, embedding_dim=8, table_size=64
    ),
    loss=config_lib.Loss(in_batch_negatives=32, uniform_negatives=16),
    index=config_lib.Index(filter_seen="engagements"),
  )
  config.data.sequence_length = 8
  config.train.steps, config.train.warmup_steps = 6, 1
  config.train.batch_size = 8
  config.train.eval_every = 3
  config.evals.batch_size = 16
  return config


@pytest.fixture(scope="session")
def logged():
  """Returns the function from a work folder to its losses, by step."""

  def losses(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["step"]: row["loss"] for row in rows if "loss" in row}

  return losses


@pytest.fixture(scope="session")
def untrained(world):
  """Returns the function from a configuration to a retriever over a log."""
  import jax
  import optax

  from pinrec_jax import config as config_lib
  from pinrec_jax.data import statistics
  from pinrec_jax.inference import bundle, engine
  from pinrec_jax.model import pinrec
  from pinrec_jax.training import state

  weights = {}

  def of_config(config, log=world):
    model = pinrec.of_config(config, log.vocabulary)
    if model not in weights:
      shapes = jax.eval_shape(
        lambda: state.create(model, optax.identity()).params
      )
      rng = np.random.default_rng(0)
      # With the scale of new parameters, items would hardly differ.
      weights[model] = jax.tree.map(
        lambda x: rng.normal(size=x.shape, scale=0.5).astype(x.dtype), shapes
      )
    hidden = None
    if config.model.id_dropout:
      hidden = statistics.cold_items(log, "validation")
    return engine.Retriever(
      bundle.create(
        config_lib.inference(config),
        weights[model],
        log.catalog,
        statistics.outcome_fractions(log),
        hidden=hidden,
      )
    )

  return of_config


DEVICES = 8  # Of all processes together.


@pytest.fixture
def in_processes():
  """Returns the function that runs a script in some processes of a run."""

  def run(script, *arguments, processes, starting):
    """Returns the exit status, output and errors of every process."""
    with socket.socket() as probe:
      probe.bind(("localhost", 0))
      port = probe.getsockname()[1]
    flags = f" --xla_force_host_platform_device_count={DEVICES // processes}"
    env = os.environ | {"XLA_FLAGS": os.environ["XLA_FLAGS"] + flags}
    if processes > 1:
      env |= {
        "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
        "JAX_NUM_PROCESSES": str(processes),
      }
    running = [
      subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=env | {"JAX_PROCESS_ID": str(n)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
      )
      for n in starting
    ]
    texts = [process.communicate(timeout=300) for process in running]
    return [
      (process.returncode, *text)
      for process, text in zip(running, texts, strict=True)
    ]

  return run


@pytest.fixture(scope="module")
def tiny_config():
  """Returns the function from a folder of prepared logs to a configuration."""
  from pinrec_jax import config
  from pinrec_jax.data import synthetic

  def config_of(prepared):
    """Returns a configuration that trains in seconds."""
    made = config.Config()
    made.data.name = "synthetic"
    made.data.prepared_dir = str(prepared)
    made.data.sequence_length = 16
    made.data.synthetic_users = 60
    made.model.hidden_dim = made.model.embedding_dim = 16
    made.model.num_layers, made.model.table_size = 1, 64
    made.loss.in_batch_negatives, made.loss.uniform_negatives = 32, 8
    made.train.steps, made.train.warmup_steps = 4, 1
    made.train.batch_size, made.train.eval_every = 8, 4
    made.decode.candidates, made.index.kind = 5, "exact"
    made.evals.cutoffs, made.evals.sweep = (3, 6), ("click", "save")
    made.index.filter_seen = "engagements"
    return made

  with pytest.MonkeyPatch.context() as patch:  # Makes the world small.
    patch.setattr(synthetic, "SIZE", synthetic.Size(40, 4, 20))
    yield config_of
