"""What benchmarks/ measures with, and what no later change may undo."""

import pathlib
import sys

import jax
import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(FOLDER))
import accelerator  # noqa: E402
import communication  # noqa: E402  of the folder above
import contest  # noqa: E402
import growth  # noqa: E402
import repeats  # noqa: E402
import simulated  # noqa: E402

from pinrec_jax import sharding  # noqa: E402
from pinrec_jax.decode import generate  # noqa: E402

PLAYER = """
import sys
sys.path.insert(0, {peers!r})
import pathlib, turns
seen = pathlib.Path({seen!r})

def turn():
  with seen.open("a") as file:
    file.write(sys.argv[1])
  print("chatter")
  if seen.read_text().count(sys.argv[1]) > {most}:
    sys.exit("enough")

turns.take(turn)
"""


@pytest.fixture
def player(tmp_path, monkeypatch):
  """Returns a function from a name to a program that writes it each turn."""
  monkeypatch.setattr(contest, "PEERS", tmp_path)
  monkeypatch.setattr(contest, "PAUSE", 0.0)

  def write(name, most=99):
    text = PLAYER.format(
      peers=str(FOLDER / "peers"), seen=str(tmp_path / "seen"), most=most
    )
    (tmp_path / f"{name}.py").write_text(text)
    return contest.Program(f"{name}.py", [name])

  return write


def test_programs_warm_up_and_then_take_turns(player, tmp_path):
  programs = {name: player(name) for name in "ab"}
  seconds = contest.hold(programs, rounds=3)
  assert (tmp_path / "seen").read_text() == "ab" + 3 * "ab"
  assert {name: len(values) for name, values in seconds.items()} == {
    "a": 3,
    "b": 3,
  }
  assert all(value > 0 for values in seconds.values() for value in values)


def test_a_program_that_ends_is_named(player):
  with pytest.raises(RuntimeError, match="b ended with status 1"):
    contest.hold({"a": player("a"), "b": player("b", most=2)}, rounds=5)


def test_an_environment_that_is_not_there_is_named(player, tmp_path):
  program = contest.Program("a.py", venv="absent")
  with pytest.raises(SystemExit, match="absent/bin/python is not there; run"):
    contest.hold({"a": program}, rounds=1, venvs=tmp_path)


def test_a_ratio_is_the_median_of_the_rounds_own(capsys):
  """So a round in which the machine was slow counts as any other."""
  seconds = {"own": [1.0, 10.0, 2.0], "peer": [3.0, 30.0, 2.0]}
  found = contest.compared(seconds, "own")
  assert found["peer"] == {
    "seconds": 3.0,
    "ratio": 3.0,
    "least": 1.0,
    "greatest": 3.0,
  }
  contest.table(found, "own")
  assert "| peer | 3 | 3.00 (1.00 to 3.00) |" in capsys.readouterr().out


@pytest.mark.parametrize(("tables", "most"), [("adam", 1.05), ("adagrad", 1.5)])
def test_a_step_reduces_its_gradient_once_over_devices(tables, most):
  sizes = growth.Sizes(
    length=8, batch=8, negatives=16, items=2000, rows=4096, tables=tables
  )
  step = growth.Step.of(
    growth.configured(sizes), sizes.items, sharding.device_mesh()
  )
  moved = communication.communicated(step.compiled().as_text() or "")
  gradient = communication.gradient(step, sizes)
  assert gradient <= sum(moved.values()) < most * gradient


def test_operations_are_those_the_compiler_counts():
  """It counts what is no product of matrices, too."""
  size = accelerator.Size(64, 2, 3, 64, 4, 500, "float32", 64)
  config = size.config(stacked=False)
  config.train.batch_size, config.loss.in_batch_negatives = 8, 64
  one = sharding.device_mesh(devices=jax.devices()[:1])
  step = growth.Step.of(config, size.items, one)

  def counted(program):
    return program.cost_analysis()["flops"]

  products, _ = accelerator.of_step(config, step.state.params)
  assert 1 < counted(step.compiled()) / products < 1.4
  # Two steps: the body of a loop is counted once.
  answer = accelerator.answering(step, accelerator.held(step), 3, steps=2)
  program = generate.generate.lower(*answer.args, **answer.keywords).compile()
  products, _ = accelerator.of_answer(config, step.state.params, 3, steps=2)
  assert 1 < counted(program) / products < 1.4


def test_figures_of_seeds_have_a_mean_and_a_spread():
  reports = [{"recall": 1.0, "log": "a"}, {"recall": 3.0, "log": "b"}]
  assert repeats.summary(reports) == {
    "recall": {"mean": 2.0, "spread": 2**0.5, "values": [1.0, 3.0]}
  }
  assert repeats.spread([5.0])["spread"] == 0


def test_lifts_are_of_the_same_users_over_all_seeds():
  rng = np.random.default_rng(0)
  luck = rng.poisson(3.0, (2, 2, 400)).astype(float)  # seeds, outcomes, users
  arms = {name: luck for name in simulated.OVER} | {"twice": 2 * luck}
  seeds = [
    {name: (acted[seed], acted[seed]) for name, acted in arms.items()}
    for seed in range(2)
  ]
  found = simulated.compared(seeds)
  for name, gain in (("twice", 1.0), (simulated.OVER[1], 0.0)):
    for n, own in enumerate(found[name].values()):
      # Paired, so that no luck of users is left in the interval.
      lift = own[f"lift over {simulated.OVER[0]}"]
      assert lift == {"mean": gain, "low": gain, "high": gain}
      means = (1 + gain) * luck[:, n].mean(-1)
      assert own["per_user"]["mean"] == pytest.approx(means.mean())
  unpaired = simulated.lift(luck[0, 0], luck[1, 0])
  assert unpaired["low"] < unpaired["mean"] < unpaired["high"]
