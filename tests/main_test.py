"""The program as a user starts it: its output, and what a mistake gives."""

import json
import os
import resource
import shutil
import subprocess
import sys

import pytest

HELP_SECONDS = 2


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
  """Runs the program with one device, as a user would."""
  env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
  return subprocess.run(
    [sys.executable, "-m", "pinrec_jax.main", *arguments],
    capture_output=True,
    text=True,
    timeout=300,
    env=env | environment,
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
      "--config.train.batch_size=-1",
      "config.train.batch_size is -1; use 0 or more",
    ),
    ("--config.data.name=other", "data.name 'other' is unknown"),
    ("--config.decode.surface=shop", "unknown surface 'shop'; this data set"),
    ("--budget=is_click:0.7,is_like:0.7", "sums to 1.4, not 1"),
    ("--config.decode.steps=40", "evals.twin is True: the twin would take 80"),
    ("extra", "unexpected arguments"),
  ],
)
def test_a_mistake_is_named_before_any_work(
  argument, complaint, prepared, tmp_path
):
  done = run(
    "--config=configs/demo.py",
    f"--workdir={tmp_path / 'run'}",
    f"--config.data.prepared_dir={prepared}",
    argument,
  )
  assert done.returncode != 0
  assert complaint in done.stderr + done.stdout
  assert "Traceback" not in done.stderr
  assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
  ("arguments", "environment", "complaint"),
  [
    (("--mode=train",), {}, "--mode=train needs a --config; see configs/"),
    (("--mode=trian",), {}, "trian"),
    (("--config=absent.py",), {}, "no configuration absent.py; .*demo.py"),
    (("--mode=retrieve",), {}, "there is no bundle in .*run --mode=index"),
    (
      ("--mode=train", "--config=demo.py"),
      {"JAX_PLATFORMS": "cuda"},
      "JAX finds no device .*'cuda'.* set JAX_PLATFORMS=cpu",
    ),
    (
      ("--mode=train", "--config=demo.py"),
      {"JAX_ENABLE_X64": "1"},
      "JAX_ENABLE_X64 is set",
    ),
  ],
)  # fmt: skip
def test_an_error_is_one_message_without_a_traceback(
  arguments, environment, complaint, tmp_path
):
  done = run(*arguments, f"--workdir={tmp_path}", **environment)
  assert done.returncode == 1
  with pytest.raises(ValueError, match=complaint):
    raise ValueError(done.stderr + done.stdout)
  assert "Traceback" not in done.stderr


def test_help_takes_less_than_two_seconds_of_a_processor():
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  done = run("--help")
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  assert "<demo|prepare|" in done.stdout
  assert "--config" in done.stdout
  assert after.ru_utime - before.ru_utime < HELP_SECONDS


def test_the_doctor_needs_no_configuration(tmp_path):
  done = run("--mode=doctor", f"--workdir={tmp_path / 'run'}")
  assert done.returncode == 0, done.stdout
  assert "ok  jax " in done.stdout
  assert done.stderr == ""
  report = json.loads((tmp_path / "run" / "report.json").read_text())
  assert report["doctor"]["devices"] == "1 x cpu"


def test_a_custom_log_is_prepared_and_described(tmp_path):
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
  done = run(*command)
  assert done.returncode != 0
  assert "1 of 3 rows are bad" in done.stderr
  assert "events.csv:3 time='soon'" in done.stderr
  done = run(*command, "--config.data.max_bad_fraction=0.5")
  assert done.returncode == 0, done.stderr
  assert "time cannot be read" in done.stdout
  assert "Downloading" not in done.stdout
  report = json.loads((tmp_path / "run" / "report.json").read_text())["prepare"]
  assert report["data/events"] == report["data/items"] == 2
  assert report["data/rows/rejected"] == 1
  assert report["data/gap/mean"] == 50
  assert (tmp_path / "run" / "statistics.png").is_file()


@pytest.fixture(scope="module")
def latin(tmp_path_factory):
  """Returns the environment of a locale in which text is not UTF-8."""
  if not shutil.which("localedef"):
    pytest.skip("localedef makes a locale, and is not installed")
  folder = tmp_path_factory.mktemp("locale")
  name = "de_DE.ISO-8859-1"
  subprocess.run(
    ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(folder / name)],
    check=False,
    capture_output=True,
  )
  if not (folder / name).is_dir():
    pytest.skip("there are no sources of locales")
  return {"LOCPATH": str(folder), "LC_ALL": name}


def test_a_log_is_prepared_in_any_locale_and_without_a_home(tmp_path, latin):
  folder = tmp_path / "Füße [1]"
  folder.mkdir()
  lines = [f"ü{n % 3},買{n % 4},gefällt,{1700000000 + n}" for n in range(20)]
  text = "\n".join(["user,item,action,time", *lines])
  (folder / "lög.csv").write_text(text, encoding="utf-8")
  done = run(
    "--config=configs/custom_log.py",
    "--mode=prepare",
    f"--workdir={folder / 'run'}",
    f"--config.data.prepared_dir={folder / 'prepared'}",
    f"--config.data.events={folder / 'lög.csv'}",
    **latin,
    HOME="",
  )
  assert done.returncode == 0, done.stderr
  assert "predicted: gefällt (20)" in done.stdout
  report = (folder / "run" / "report.json").read_text(encoding="utf-8")
  assert json.loads(report)["prepare"]["data/actions/gefällt"] == 20
  assert {path.name for path in folder.iterdir()} == {
    "lög.csv", "prepared", "run",
  }  # fmt: skip


def test_a_stopped_run_has_its_own_exit_status(tmp_path):
  script = (
    "from absl import app\n"
    "from pinrec_jax import cli, main\n"
    "from pinrec_jax.training import errors\n"
    "def stop(config, workdir):\n"
    "  raise errors.RunStoppedError('stopped at step 2')\n"
    "cli.MODES['train'] = stop\n"
    "app.run(main.main)\n"
  )
  flags = ["--config=configs/demo.py", "--mode=train", f"--workdir={tmp_path}"]
  done = subprocess.run(
    [sys.executable, "-c", script, *flags],
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert (done.returncode, done.stderr) == (75, "stopped at step 2\n")


@pytest.mark.slow
def test_train_index_evaluate_retrieve(prepared, tmp_path):
  command = [
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
  early = run(*command, "--mode=retrieve", f"--histories={history}")
  assert "there is no bundle" in early.stderr
  for mode in ("train", "train", "index", "evaluate"):
    done = run(*command, f"--mode={mode}")
    assert done.returncode == 0, done.stderr[-2000:]
    # Only progress bars and lines of this package reach the terminal.
    lines = [
      line.strip()
      for line in done.stderr.replace("\r", "\n").splitlines()
      if line.strip() and "%|" not in line
    ]
    assert all(
      line.startswith(("preparing kuairand/mini", "resuming at step 8"))
      for line in lines
    ), lines
    assert "Dataset" not in done.stdout
  report = json.loads((tmp_path / "run" / "report.json").read_text())
  assert {"recall@10", "popularity_recall@10"} <= set(report["evaluate"])
  assert report["index"]["scann_recall@100"] >= 0.98
  done = run(
    *command,
    "--mode=retrieve",
    f"--histories={history}",
    "--budget=is_click:0.5,is_like:0.5",
  )
  answer = json.loads(done.stdout)
  assert done.stderr == ""
  assert len({c["item"] for c in answer["candidates"]}) == 7
  assert {c["outcome"] for c in answer["candidates"]} == {"is_click", "is_like"}
  assert answer["unknown_items"] == ["new"]
  assert (answer["events_read"], answer["model_step"]) == (2, 8)
