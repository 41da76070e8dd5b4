"""Every mode with several processes gives what it gives with one."""

import json
import pathlib
import pickle
import signal

import numpy as np
import pytest

from pinrec_jax import cli, workflows
from pinrec_jax.inference import bundle, bundle_folders, engine
from pinrec_jax.training import daily

# As pinrec_jax.main does. One of the processes may be killed where it starts to
# measure, like a machine that is taken away.
RUN = """
import os, pathlib, pickle, signal, sys
from pinrec_jax import cli, processes
from pinrec_jax.evals import evaluate

given, folder, killed, *modes = sys.argv[1:]
config = pickle.loads(pathlib.Path(given).read_bytes())
if os.environ["JAX_PROCESS_ID"] == killed:
  def die(*args, **kinds):
    os.kill(os.getpid(), signal.SIGKILL)
  evaluate.evaluate = die
with processes.together():
  for mode in modes:
    cli.run(mode, config, folder)
"""
MODES = ("train", "index", "export", "evaluate")
# Parts of names whose values depend on the clock or on the work folder.
OWN = ("second", "per_s", "log", "bundle", "folder")


@pytest.fixture
def given(shop, tmp_path):
  """Returns the function that writes a configuration to a file.

  Every number of processes prepares a log of its own.
  """

  def write(name, **fields):
    prepared = str(tmp_path / f"prepared {name}")
    fields = {
      "data.prepared_dir": prepared,
      "evals.twin": True,
      "update.margin": 0.99,
      **fields,
    }
    path = tmp_path / f"{name}.pkl"
    path.write_bytes(pickle.dumps(shop.config(**fields)))
    return path

  return write


def run(in_processes, processes, given, folder, *modes, killed="nobody"):
  """Runs modes in all processes and returns how each process ended."""
  return in_processes(
    RUN, given, folder, killed, *modes,
    processes=processes, starting=[*range(processes)],
  )  # fmt: skip


def succeed(*args):
  """Runs modes, which succeed in all processes; returns the first's output."""
  ended = run(*args)
  for code, _, errors in ended:
    assert code == 0, errors[-3000:]
  return ended[0][1]


def same(one, other, path=""):
  """Asserts that two reports agree, but for rounding and `OWN`."""
  if isinstance(one, dict):
    assert {*one} == {*other}, path
    for name in one:
      if not any(part in name for part in OWN):
        same(one[name], other[name], f"{path}/{name}")
  elif isinstance(one, list):
    assert len(one) == len(other), path
    for n, pair in enumerate(zip(one, other, strict=True)):
      same(*pair, f"{path}/{n}")
  elif isinstance(one, float):
    assert one == pytest.approx(other, abs=1e-4), path
  else:
    assert one == other, path


def lists(folder: pathlib.Path):
  """Returns the lists of some users of the current bundle."""
  retriever = engine.Retriever.load(folder)
  asked = [{"user": f"u{n}", "budget": "click:0.5,buy:0.5"} for n in range(9)]
  return [
    [one["item"] for one in answer["candidates"]]
    for answer in retriever.retrieve(asked)
  ]


def test_two_processes_index_and_update_a_run(
  shop, given, in_processes, tmp_path
):
  config, folder = given(2), tmp_path / "run"
  succeed(in_processes, 2, config, folder, "train", "index")
  before = bundle_folders.current(folder / workflows.BUNDLES)
  shop.day(3)
  succeed(in_processes, 2, config, folder, "update")
  (line,) = daily.read(folder)
  assert line["published"]
  after = bundle_folders.current(folder / workflows.BUNDLES)
  assert after == line["bundle"] != before


@pytest.mark.slow
@pytest.mark.parametrize("several", [2, 4])
def test_modes_and_an_update_give_the_same(
  shop, given, in_processes, tmp_path, several
):
  folders = {n: tmp_path / str(n) for n in (1, several)}
  configs = {n: given(n) for n in folders}
  for n, folder in folders.items():
    succeed(in_processes, n, configs[n], folder, *MODES)
  reports = [json.loads((f / cli.REPORT).read_text()) for f in folders.values()]
  assert {*reports[0]} == {*MODES}
  same(*reports)
  assert (folders[several] / "export" / "export.json").is_file()
  one, other = (bundle.load(folder).vectors for folder in folders.values())
  np.testing.assert_allclose(one, other, atol=1e-4)

  shop.day(3)
  shop.items(26)
  for n, folder in folders.items():
    out = succeed(in_processes, n, configs[n], folder, "update")
    assert "new targets and" in out
  lines = [daily.read(folder) for folder in folders.values()]
  same(lines[0], lines[1])
  assert lines[0][0]["published"]
  assert lists(folders[1]) == lists(folders[several])
  # The same command again changes nothing.
  out = succeed(
    in_processes, several, configs[several], folders[several], "update"
  )
  assert "nothing is new" in out
  assert daily.read(folders[several]) == lines[1]


@pytest.mark.slow
def test_an_update_goes_on_after_one_of_its_processes_was_killed(
  shop, given, in_processes, tmp_path
):
  folders = {name: tmp_path / name for name in ("whole", "parts")}
  configs = {name: given(name, **{"evals.twin": False}) for name in folders}
  for name, folder in folders.items():
    succeed(in_processes, 2, configs[name], folder, "train", "index")
  shop.day(3)
  folder = folders["parts"]
  before = bundle_folders.current(folder / workflows.BUNDLES)
  ended = run(in_processes, 2, configs["parts"], folder, "update", killed="1")
  assert ended[1][0] == -signal.SIGKILL
  assert ended[0][0] not in (0, -signal.SIGKILL)
  assert not daily.read(folder)
  assert bundle_folders.current(folder / workflows.BUNDLES) == before
  for name, own in folders.items():
    succeed(in_processes, 2, configs[name], own, "update")
  whole, parts = map(daily.read, folders.values())
  same(whole, parts)
