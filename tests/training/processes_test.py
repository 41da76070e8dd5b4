"""A run over two processes is the run of one."""

import json
import os
import pathlib
import pickle
import socket
import subprocess
import sys

import pytest

SCRIPT = """
import pathlib, pickle, sys
from pinrec_jax import config as config_lib, sharding
from pinrec_jax.training import loop

sharding.join_processes()
config, world = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
report = loop.train(config, world, pathlib.Path(sys.argv[2]))
best = loop.best(config, world.catalogue, pathlib.Path(sys.argv[2]))
print("best", best.step, best.metrics)
"""


def _run(folder: pathlib.Path, given: pathlib.Path, processes: int) -> str:
  with socket.socket() as probe:
    probe.bind(("localhost", 0))
    port = probe.getsockname()[1]
  flags = f"--xla_force_host_platform_device_count={8 // processes}"
  env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
  if processes > 1:
    env |= {
      "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
      "JAX_NUM_PROCESSES": str(processes),
    }
  running = [
    subprocess.Popen(
      [sys.executable, "-c", SCRIPT, str(given), str(folder)],
      env=env | {"JAX_PROCESS_ID": str(n)},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for n in range(processes)
  ]
  told = [process.communicate(timeout=300) for process in running]
  for process, (_, errors) in zip(running, told, strict=True):
    assert process.returncode == 0, errors[-3000:]
  said = {out.splitlines()[-1] for out, _ in told}
  assert len(said) == 1  # all know the same best
  return said.pop()


@pytest.fixture
def given(world, tmp_path):
  from pinrec_jax import config as config_lib

  config = config_lib.Config(
    model=config_lib.Model(width=16, heads=2, dim=8, rows=64),
    loss=config_lib.Loss(in_batch=32, uniform=16, chunk=64),
  )
  config.data.length = 8
  config.train.steps, config.train.batch, config.train.warmup = 4, 8, 1
  config.train.eval_every, config.train.log_every = 2, 1
  config.train.model_axis, config.evals.batch = 2, 16
  path = tmp_path / "given.pkl"
  path.write_bytes(pickle.dumps((config, world)))
  return path


def test_two_processes_train_as_one(given, tmp_path):
  losses = {}
  for processes in (1, 2):
    folder = tmp_path / str(processes)
    folder.mkdir()
    said = _run(folder, given, processes)
    assert said.startswith("best ")
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    losses[processes] = [row["loss"] for row in rows if "loss" in row]
  assert len(losses[1]) == 4
  assert losses[2] == pytest.approx(losses[1], abs=1e-5)
