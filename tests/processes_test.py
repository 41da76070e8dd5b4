"""Several processes train as one, and name the ones that are missing."""

import dataclasses
import pathlib
import pickle
import signal

import numpy as np
import pytest

from pinrec_jax.data import evaluation_cases
from pinrec_jax.evals import retrieve
from pinrec_jax.inference import bundle

JOIN = """
import sys
from absl import logging
from pinrec_jax import processes

logging.use_absl_handler()
try:
  processes.join(int(sys.argv[1]))
except (OSError, ValueError) as error:
  sys.exit(f"{type(error).__name__}: {error}")
logging.warning("here")
"""
# As pinrec_jax.main does, with a log from a file. One of the processes may be
# killed at a step, like a machine that is taken away.
TRAIN = """
import os, pathlib, pickle, signal, sys
from pinrec_jax import processes
from pinrec_jax.training import loop, runs

processes.join(120)
given, folder, killed, at = sys.argv[1:]
config, world = pickle.loads(pathlib.Path(given).read_bytes())
train_step = loop.step_lib.train_step

def step(state, *rest, **kinds):
  if int(state.step) == int(at):
    os.kill(os.getpid(), signal.SIGKILL)
  return train_step(state, *rest, **kinds)

if os.environ["JAX_PROCESS_ID"] == killed:
  loop.step_lib.train_step = step
with processes.together():
  loop.train(config, world, pathlib.Path(folder))
  best = runs.best(config, world.catalog, pathlib.Path(folder))
  print("best", best.step, best.metrics)
"""
EVALUATE = """
import os, pathlib, pickle, sys
from pinrec_jax import processes
from pinrec_jax.data import evaluation_cases
from pinrec_jax.evals import retrieve
from pinrec_jax.inference import engine

processes.join(120)
given, folder = sys.argv[1:]
world = pickle.loads(pathlib.Path(given).read_bytes())
cases = evaluation_cases.cases(world, "test")
found = []
with processes.together():
  for kind, nearest in (("auto", 3), ("auto", 0), ("sharded", 3)):
    retriever = engine.Retriever.load(folder, **{"index.kind": kind})
    lists = retrieve.retrieve(
      retriever, cases, retriever.reader.defaults().ask, size=6, batch_size=8,
      nearest=nearest, quiet=True,
    )
    found.append(lists)
# Each process holds all items, on its own devices.
assert len(retriever.bundle.index._vectors.addressable_shards) == 4
path = pathlib.Path(folder, os.environ["JAX_PROCESS_ID"])
path.write_bytes(pickle.dumps(found))
"""


def _train(
  in_processes, given: pathlib.Path, folder: pathlib.Path, processes: int
) -> str:
  """Trains, and returns the best step, on which all processes agree."""
  folder.mkdir(exist_ok=True)
  ended = in_processes(
    TRAIN, given, folder, "nobody", 0,
    processes=processes, starting=[*range(processes)],
  )  # fmt: skip
  best = set()
  for code, out, errors in ended:
    assert code == 0, errors[-3000:]
    best.add(out.splitlines()[-1])
  assert len(best) == 1
  return best.pop()


@pytest.fixture
def given(world, brief, tmp_path):
  """Returns the function that writes `brief`, with changes, and a log."""
  brief.train.steps, brief.train.eval_every, brief.train.model_axis = 4, 2, 2

  def write(**train):
    for name, value in train.items():
      setattr(brief.train, name, value)
    path = tmp_path / "given.pkl"
    path.write_bytes(pickle.dumps((brief, world)))
    return path

  return write


@pytest.mark.parametrize(
  ("several", "model_axis"),
  [
    (2, 2),
    pytest.param(2, 8, marks=pytest.mark.slow),
    pytest.param(4, 2, marks=pytest.mark.slow),
  ],
)
def test_several_processes_train_as_one(
  in_processes, given, logged, tmp_path, several, model_axis
):
  """Also if the model is split over processes, which then read equal rows."""
  losses = {}
  for processes in (1, several):
    folder = tmp_path / str(processes)
    path = given(model_axis=model_axis)
    assert _train(in_processes, path, folder, processes).startswith("best ")
    losses[processes] = logged(folder)
  assert len(losses[1]) == 4
  assert losses[several] == pytest.approx(losses[1], abs=1e-5)


def test_several_processes_evaluate_as_one(
  in_processes, world, small, untrained, tmp_path
):
  retriever, cases = untrained(small), evaluation_cases.cases(world, "test")
  assert -(-len(cases) // 8) % 2  # One of two processes has fewer batches.
  given = tmp_path / "given.pkl"
  given.write_bytes(pickle.dumps(world))
  bundle.save(retriever.bundle, tmp_path / "bundles")
  ended = in_processes(EVALUATE, given, tmp_path, processes=2, starting=[0, 1])
  for code, _, errors in ended:
    assert code == 0, errors[-3000:]
  for n, nearest in enumerate((3, 0, 3)):
    lists = retrieve.retrieve(
      retriever, cases, retriever.reader.defaults().ask, size=6, batch_size=8,
      nearest=nearest, quiet=True,
    )  # fmt: skip
    for process in "01":
      found = pickle.loads((tmp_path / process).read_bytes())[n]
      for one, other in zip(
        dataclasses.astuple(found), dataclasses.astuple(lists), strict=True
      ):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.slow
def test_a_killed_process_stops_the_others_and_all_resume(
  in_processes, given, logged, tmp_path
):
  whole, parts = tmp_path / "whole", tmp_path / "parts"
  path = given(steps=10, eval_every=3, train_on_validation=True)
  parts.mkdir()
  ended = in_processes(
    TRAIN, path, parts, "2", 8, processes=4, starting=[0, 1, 2, 3]
  )
  assert ended[2][0] == -signal.SIGKILL
  for n in (0, 1, 3):
    code, _, errors = ended[n]
    # Gloo connects the processes of CPUs. It aborts a process that was reading
    # from the killed one, with a message of its own.
    if code == -signal.SIGABRT and "gloo" in errors:
      continue
    assert code == 1, errors[-3000:]
    assert f"[process {n} of 4] error: another process has ended" in errors
  assert len(logged(parts)) < 10

  _train(in_processes, path, parts, 4)
  _train(in_processes, path, whole, 4)
  resumed, at_once = logged(parts), logged(whole)
  assert len(at_once) == 10
  assert resumed == at_once  # Bit-equal.


def test_missing_processes_are_named(in_processes):
  ended = in_processes(JOIN, 6, processes=4, starting=[0, 2])
  for code, _, errors in ended:
    assert code == 1
    assert "TimeoutError: process 1, 3 did not come within" in errors
    assert "within 6 seconds; see its own log" in errors
  ((code, _, errors),) = in_processes(JOIN, 1, processes=2, starting=[1])
  assert code == 1
  assert "process 0 did not come" in errors


def test_every_line_of_the_log_starts_with_its_process(in_processes):
  ended = in_processes(JOIN, 60, processes=2, starting=[0, 1])
  for n, (code, _, errors) in enumerate(ended):
    assert code == 0, errors
    assert errors.splitlines()[-1].startswith(f"[process {n} of 2] W")
    assert errors.splitlines()[-1].endswith("here")


@pytest.mark.parametrize(
  ("name", "value", "complaint"),
  [
    ("JAX_NUM_PROCESSES", "two", "JAX_NUM_PROCESSES is 'two'; set it to"),
    ("JAX_PROCESS_ID", "2", "JAX_PROCESS_ID is 2; number the 2 processes"),
    ("JAX_COORDINATOR_ADDRESS", "here", "is 'here'; use HOST:PORT"),
  ],
)
def test_an_invalid_variable_is_refused(monkeypatch, name, value, complaint):
  from pinrec_jax import processes

  valid = ("localhost:1", "2", "0")
  for variable, text in zip(processes.ENVIRONMENT, valid, strict=True):
    monkeypatch.setenv(variable, text)
  monkeypatch.setenv(name, value)
  for call in (processes.join, processes.is_spare):
    with pytest.raises(ValueError, match=complaint):
      call()


def test_only_the_first_process_answers(monkeypatch, capsys):
  from pinrec_jax import processes

  assert not processes.is_spare()
  for variable, text in zip(
    processes.ENVIRONMENT, ("localhost:1", "2", "0"), strict=True
  ):
    monkeypatch.setenv(variable, text)
  assert not processes.is_spare()
  monkeypatch.setenv("JAX_PROCESS_ID", "1")
  assert processes.is_spare()
  assert "[process 1 of 2] nothing to do" in capsys.readouterr().err
