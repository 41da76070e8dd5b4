"""Parts of benchmarks/, and properties that later changes must keep."""

import json
import subprocess
import sys

import accelerator
import bounds
import communication
import growth
import machine
import numpy as np
import programs
import pytest
import record
import repeats
import shop
import simulated
import timing
import training_step

from pinrec_jax import sharding
from pinrec_jax.decode import generate

PLAYER = """
import pathlib, sys
from peers import turns
seen = pathlib.Path({seen!r})

def turn():
  with seen.open("a") as file:
    file.write(sys.argv[1])
  print("other output")
  if seen.read_text().count(sys.argv[1]) > {most}:
    sys.exit("enough")

turns.take(turn)
"""


@pytest.fixture
def player(tmp_path, monkeypatch):
  """Returns a function from a name to a program that writes it each turn."""
  monkeypatch.setenv("PYTHONPATH", str(programs.FOLDER))
  monkeypatch.setattr(programs, "FOLDER", tmp_path)
  monkeypatch.setattr(programs, "PAUSE", 0.0)
  (tmp_path / "peers").mkdir()

  def write(name, most=99):
    text = PLAYER.format(seen=str(tmp_path / "seen"), most=most)
    (tmp_path / "peers" / f"{name}.py").write_text(text)
    return programs.Program(name, [name])

  return write


def test_programs_warm_up_and_then_run_interleaved(player, tmp_path):
  running = {name: player(name) for name in "ab"}
  seconds = programs.run(running, rounds=3)
  assert (tmp_path / "seen").read_text() == "ab" + 3 * "ab"
  assert {name: len(own) for name, own in seconds.items()} == {"a": 3, "b": 3}
  assert all(value > 0 for values in seconds.values() for value in values)


def test_a_program_that_ends_is_named(player):
  with pytest.raises(RuntimeError, match="b ended with status 1"):
    programs.run({"a": player("a"), "b": player("b", most=2)}, rounds=5)


def test_a_missing_environment_is_named(player, tmp_path):
  program = programs.Program("a", venv="absent")
  with pytest.raises(SystemExit, match="absent/bin/python does not exist; run"):
    programs.run({"a": program}, rounds=1, venvs=tmp_path)


def test_a_ratio_is_the_median_over_rounds():
  """So a round in which the machine was slow counts as any other."""
  seconds = {"own": [1.0, 10.0, 2.0], "peer": [3.0, 30.0, 2.0]}
  found = timing.compared(seconds, "own")
  assert found["peer"] == {"seconds": 3.0, "ratio": 3.0, "min": 1.0, "max": 3.0}
  table = programs.table(found, "own")
  assert "| peer | 3 | 3.00 (1.00 to 3.00) |" in table


def test_cases_are_timed_interleaved_after_a_warm_up():
  calls = []
  cases = {name: (lambda name=name: calls.append(name)) for name in "ab"}
  seconds = timing.interleaved(cases, rounds=2)
  assert calls == ["a", "b"] * 3
  assert [len(values) for values in seconds.values()] == [2, 2]


@pytest.mark.slow
@pytest.mark.parametrize(("tables", "most"), [("adam", 1.05), ("adagrad", 1.5)])
def test_a_step_reduces_its_gradient_once_over_devices(tables, most):
  sizes = growth.Sizes(
    length=8, batch=8, negatives=16, items=2000, rows=4096, tables=tables
  )
  step = training_step.Step.random(
    growth.configured(sizes), sizes.items, sharding.device_mesh()
  )
  moved = communication.communicated(step.compiled().as_text() or "")
  gradient = communication.gradient(step, sizes)
  assert gradient <= sum(moved.values()) < most * gradient


@pytest.mark.slow
@pytest.mark.parametrize("axes", [(2, 1), (1, 8), (2, 2)])
def test_moments_of_tables_stay_on_their_devices(axes):
  """Adam has two moments per number of a table, and Adagrad one per row."""
  found = {}
  for tables in ("lazy_adam", "adagrad"):
    sizes = growth.Sizes(
      length=8, batch=16, negatives=16, items=2000, rows=4096, tables=tables
    )
    step = training_step.Step.random(
      growth.configured(sizes), sizes.items, sharding.device_mesh(*axes)
    )
    moved = communication.communicated(step.compiled().as_text() or "")
    found[tables] = sum(moved.values())
  assert found["lazy_adam"] < 1.02 * found["adagrad"]


@pytest.mark.slow
def test_operations_are_those_the_compiler_counts():
  """The compiler also counts operations outside matrix products."""
  size = accelerator.Size(64, 2, 3, 64, 4, 500, "float32", 64)
  config = size.config()
  config.train.batch_size, config.loss.in_batch_negatives = 8, 64
  one = training_step.one_device()
  step = training_step.Step.random(config, size.items, one)

  def counted(program):
    return program.cost_analysis()["flops"]

  products, _ = bounds.of_step(config, step.state.params)
  assert 1 < counted(step.compiled()) / products < 1.4
  # Two steps, because the compiler counts the body of a loop once.
  params = accelerator.on_one_device(step)
  call = accelerator.generation(step, params, 3, steps=2)
  program = generate.generate.lower(*call.args, **call.keywords).compile()
  products, _ = bounds.of_generation(config, step.state.params, 3, steps=2)
  assert 1 < counted(program) / products < 1.4


def test_figures_of_seeds_have_a_mean_and_a_standard_deviation():
  reports = [
    {"recall": 1.0, "log": "a", "ndcg": None},
    {"recall": 3.0, "log": "b", "ndcg": 0.5},
  ]
  assert repeats.summary(reports) == {
    "recall": {"mean": 2.0, "std": 2**0.5, "values": [1.0, 3.0]}
  }
  assert repeats.over_seeds([5.0])["std"] == 0


def test_a_run_with_a_report_does_not_run_again(tmp_path, monkeypatch):
  commands = []

  def run(command, check):
    assert check
    commands.append(command)
    report.write_text(json.dumps({"train": {"parameters": 3}}))

  monkeypatch.setattr(subprocess, "run", run)
  report = tmp_path / "report.json"
  for _ in range(2):
    found = repeats.report("a.py", tmp_path, ["--config.train.seed=1"], "train")
    assert found == {"parameters": 3}
  (command,) = commands
  assert command[:3] == [sys.executable, "-m", "pinrec_jax.main"]
  assert {"--mode=train", "--config.train.seed=1"} <= set(command)
  report.write_text(json.dumps({"demo": {"recall@10": 0.5}}))
  assert repeats.report("a.py", tmp_path, [], "train") == {"recall@10": 0.5}
  assert len(commands) == 1


def test_lifts_are_paired_by_user():
  rng = np.random.default_rng(0)
  luck = rng.poisson(3.0, (2, 2, 400)).astype(float)  # Seeds, outcomes, users.
  arms = {name: luck for name in simulated.BASELINES} | {"twice": 2 * luck}
  seeds = [
    {name: (acted[seed], acted[seed]) for name, acted in arms.items()}
    for seed in range(2)
  ]
  found = simulated.compared(seeds)
  for name, gain in (("twice", 1.0), (simulated.BASELINES[1], 0.0)):
    for n, own in enumerate(found[name].values()):
      # Paired, so the interval has no variance of users.
      lift = own[f"lift over {simulated.BASELINES[0]}"]
      assert lift == {"mean": gain, "low": gain, "high": gain}
      means = (1 + gain) * luck[:, n].mean(-1)
      assert own["per_user"]["mean"] == pytest.approx(means.mean())
  unpaired = simulated.lift(luck[0, 0], luck[1, 0])
  assert unpaired["low"] < unpaired["mean"] < unpaired["high"]


def test_users_of_the_shop_return_to_what_they_want():
  log = shop.log(0.5, users=60)
  assert log.equals(shop.log(0.5, users=60))
  for _, own in log.groupby("user"):
    assert own["time"].is_monotonic_increasing
    rows = [*zip(own["item"], own["action"], strict=True)]
    for before, (item, action) in zip(
      [(None, None), *rows], rows, strict=False
    ):
      if action != "view":  # A cart follows a view, and a purchase a cart.
        assert before == (item, {"cart": "view", "buy": "cart"}[action])
  assert set(log["action"]) == {"view", "cart", "buy"}
  again, never = (
    shop.log(share, users=60)
    .query("action == 'view'")
    .duplicated(["user", "item"])
    .mean()
    for share in (0.9, 0.0)
  )
  assert again > never + 0.2


def test_a_record_says_what_decides_the_speed(tmp_path, monkeypatch):
  cpu = tmp_path / "cpuinfo"
  cpu.write_text("processor\t: 0\nmodel name\t: A CPU\nflags\t: fpu avx2 sse\n")
  monkeypatch.setattr(machine, "CPU", cpu)
  monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
  record.write(tmp_path / "record.json", ["--flag"], figure=1)
  found = json.loads((tmp_path / "record.json").read_text())
  assert found["figure"] == 1
  assert found["machine"]["cpu"] == "A CPU"
  assert found["machine"]["instructions"] == ["avx2"]
  assert found["machine"]["large_pages"]
  monkeypatch.setattr(machine, "CPU", tmp_path / "absent")
  assert "cpu" not in machine.facts()


def test_rates_of_the_machine_are_numbers(monkeypatch):
  monkeypatch.setattr(machine, "SIZE", 64)
  monkeypatch.setattr(machine, "BYTES", 1 << 12)
  assert all(rate > 0 for rate in machine.rates().values())
