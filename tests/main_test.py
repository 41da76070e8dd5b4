"""The program as a user starts it: what it says to a mistake."""

import json
import subprocess
import sys

import pytest


def _main(*arguments: str) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, "-m", "pinrec_jax.main", *arguments],
    capture_output=True,
    text=True,
    timeout=300,
  )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  return tmp_path_factory.mktemp("prepared")


@pytest.mark.parametrize(
  ("argument", "complaint"),
  [
    ("--config.train.stepz=1", "stepz"),
    ("--config.train.steps=many", "train.steps"),
    (
      "--config.train.batch_size=0",
      "config.train.batch_size is 0; use a number above 0",
    ),
    ("--config.data.name=other", "data.name 'other' is unknown"),
    ("--config.decode.surface=shop", "unknown surface 'shop'; this data set"),
    ("--budget=is_click:0.7,is_like:0.7", "sums to 1.4, not 1"),
    ("--config.decode.candidates=9999", "9999 of a catalog of 5426 items"),
    ("--config.decode.steps=40", "evals.twin is True: the twin would take 80"),
    ("extra", "unexpected arguments"),
  ],
)
def test_a_mistake_is_named_before_any_work(
  argument, complaint, prepared, tmp_path
):
  said = _main(
    "--config=configs/demo.py",
    f"--workdir={tmp_path / 'run'}",
    f"--config.data.prepared_dir={prepared}",
    argument,
  )
  assert said.returncode != 0
  assert complaint in said.stderr + said.stdout
  assert "Traceback" not in said.stderr
  assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_log_of_ones_own_is_prepared_and_described(tmp_path):
  path = tmp_path / "events.csv"
  path.write_text(
    "user,item,time,action\nu,7,1700000000,click\nu,8,soon,click\n"
    "u,9,1700000050,save\n"
  )
  command = [
    "--config=configs/custom_log.py",
    "--mode=prepare",
    f"--workdir={tmp_path / 'run'}",
    f"--config.data.prepared_dir={tmp_path / 'prepared'}",
    f"--config.data.events={path}",
    "--config.data.custom.actions=click,save",
  ]
  said = _main(*command)
  assert said.returncode != 0
  assert "1 of 3 rows are bad" in said.stderr
  assert "events.csv:3 time='soon'" in said.stderr
  said = _main(*command, "--config.data.max_bad_fraction=0.5")
  assert said.returncode == 0, said.stderr
  assert "time cannot be read" in said.stdout
  report = json.loads((tmp_path / "run" / "report.json").read_text())
  assert report["data/events"] == report["data/items"] == 2
  assert report["data/rows/rejected"] == 1
  assert report["data/gap/mean"] == 50
  assert (tmp_path / "run" / "profile.png").is_file()


def test_a_run_that_was_stopped_has_a_status_of_its_own(tmp_path):
  script = (
    "import sys\n"
    "from absl import app\n"
    "from pinrec_jax import main, modes\n"
    "from pinrec_jax.training import loop\n"
    "def stop(config, workdir):\n"
    "  raise loop.RunStoppedError('stopped at step 2')\n"
    "modes.MODES['train'] = stop\n"
    "app.run(main.main)\n"
  )
  flags = ["--config=configs/demo.py", "--mode=train", f"--workdir={tmp_path}"]
  said = subprocess.run(
    [sys.executable, "-c", script, *flags],
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert (said.returncode, said.stderr) == (75, "stopped at step 2\n")


@pytest.mark.slow
def test_train_index_evaluate_retrieve(prepared, tmp_path):
  run = [
    "--config=configs/demo.py",
    f"--workdir={tmp_path / 'run'}",
    f"--config.data.prepared_dir={prepared}",
    "--config.train.steps=8",
    "--config.train.warmup_steps=2",
    "--config.train.eval_every=4",
    "--config.decode.candidates=7",
  ]
  history = tmp_path / "history.jsonl"
  event = {"item": 4214, "actions": ["is_click"], "time": 1651000000}
  history.write_text(
    json.dumps({"user": "a", "events": [event, {"item": "new"}]}) + "\n"
  )
  early = _main(*run, "--mode=retrieve", f"--histories={history}")
  assert "no index" in early.stderr
  for mode in ("train", "index", "evaluate"):
    said = _main(*run, f"--mode={mode}")
    assert said.returncode == 0, said.stderr[-2000:]
  report = json.loads((tmp_path / "run" / "report.json").read_text())
  assert {"recall@10", "popularity_recall@10", "scann_recall@100"} <= set(
    report
  )
  assert report["scann_recall@100"] >= 0.98
  said = _main(
    *run,
    "--mode=retrieve",
    f"--histories={history}",
    "--budget=is_click:0.5,is_like:0.5",
    "--config.decode.dedup_threshold=1.0",  # eight steps teach little difference
  )
  answer = json.loads(said.stdout)
  assert len({c["item"] for c in answer["candidates"]}) == 7
  assert {c["outcome"] for c in answer["candidates"]} == {"is_click", "is_like"}
  assert answer["unknown_items"] == ["new"]
