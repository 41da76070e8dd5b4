"""The batch script of Slurm, with fake programs of Slurm."""

import shlex
import signal
import time

import pytest

SCRIPT = "launch/slurm.sbatch"
FLAGS = ("--config=configs/demo.py", "--workdir=runs/a b")
JOB = {
  "SLURM_JOB_ID": "70123",
  "SLURM_JOB_NODELIST": "gpu[4-5]",
  "SLURM_NNODES": "2",
  "SLURM_NTASKS": "2",
  "SLURM_GPUS_ON_NODE": "4",
}
# Starts the tasks, sends SIGTERM on to them and exits with the worst status.
SRUN = """
while [[ $1 == --* ]]; do shift; done
for ((n = 0; n < SLURM_NTASKS; n++)); do
  SLURM_PROCID=$n "$@" &
  tasks+=($!)
done
trap 'kill -TERM "${tasks[@]}" 2>/dev/null' TERM
worst=0
for task in "${tasks[@]}"; do
  wait "$task"
  status=$?
  while kill -0 "$task" 2>/dev/null; do wait "$task"; status=$?; done
  ((status <= worst)) || worst=$status
done
exit $worst
"""
# A fake Python, in which pinrec_jax.main waits for SIGTERM or ends at once.
PYTHON = """
case "$*" in
  *version_info*) echo 3.12 ;;
  *pinrec_jax.main*)
    env | grep ^JAX_ | sort | paste -s -d ' ' - >>{folder}/worlds
    trap 'exit {stopped}' TERM
    touch {folder}/began-$JAX_PROCESS_ID
    for ((n = 0; n < {seconds} * 20; n++)); do sleep 0.05; done
    exit {status} ;;
esac
"""


@pytest.fixture
def slurm(stage):
  stage.add("srun", SRUN)
  stage.add("scontrol", '[[ $1 != show ]] || printf "gpu4\\ngpu5\\n"')

  def python(*, status: int = 0, stopped: int = 75, seconds: int = 0):
    folder = shlex.quote(str(stage.folder))
    body = PYTHON.format(
      folder=folder, status=status, stopped=stopped, seconds=seconds
    )
    stage.add("python", body, stage.root / ".venv" / "bin" / "python")

  stage.python = python
  python()
  return stage


def _job(slurm) -> dict[str, str]:
  return JOB | {"SLURM_SUBMIT_DIR": str(slurm.root)}


def _interrupt(slurm, number: signal.Signals) -> tuple[int, str]:
  """Sends a signal to the batch shell only, once all tasks run, like Slurm."""
  batch = slurm.start(SCRIPT, *FLAGS, **_job(slurm))
  until = time.monotonic() + 60
  while len(list(slurm.folder.glob("began-*"))) < 2:
    assert batch.poll() is None, batch.communicate()
    assert time.monotonic() < until
    time.sleep(0.05)
  batch.send_signal(number)
  _, errors = batch.communicate(timeout=60)
  return batch.returncode, errors


def test_every_process_knows_the_others(slurm):
  ran = slurm.run(SCRIPT, *FLAGS, **_job(slurm))
  assert ran.returncode == 0, ran.stderr
  worlds = (slurm.folder / "worlds").read_text().splitlines()
  assert sorted(worlds) == [
    f"JAX_COORDINATOR_ADDRESS=gpu4:{12000 + 70123 % 20000} "
    f"JAX_LOCAL_DEVICE_IDS=0,1,2,3 JAX_NUM_PROCESSES=2 JAX_PROCESS_ID={n}"
    for n in range(2)
  ]
  programs = [call for call in slurm.calls("python") if "-m" in call]
  assert programs[-1] == ["python", "-m", "pinrec_jax.main", *FLAGS]
  assert ["-e", ".[cuda12]"] in [call[-2:] for call in programs]
  assert not [call for call in slurm.calls("scontrol") if "requeue" in call]


def test_with_one_process_per_gpu_each_uses_its_own(slurm):
  env = _job(slurm) | {"SLURM_NTASKS": "8"}
  assert slurm.run(SCRIPT, *FLAGS, **env).returncode == 0
  worlds = (slurm.folder / "worlds").read_text()
  assert worlds.count("JAX_NUM_PROCESSES=8") == 8
  assert "JAX_LOCAL_DEVICE_IDS" not in worlds


def test_before_the_time_limit_it_saves_and_requeues(slurm):
  slurm.python(seconds=60)
  status, errors = _interrupt(slurm, signal.SIGUSR1)
  assert status == 75, errors
  assert slurm.calls("scontrol")[-1] == ["scontrol", "requeue", "70123"]


def test_it_does_not_requeue_after_sigterm(slurm):
  slurm.python(seconds=60)
  status, errors = _interrupt(slurm, signal.SIGTERM)
  assert status == 75
  assert "call sbatch again to continue" in errors
  assert "requeue" not in str(slurm.calls("scontrol"))


@pytest.mark.parametrize("stopped", [0, 1, 143])
def test_it_requeues_only_after_status_75(slurm, stopped):
  slurm.python(seconds=60, stopped=stopped)
  status, _ = _interrupt(slurm, signal.SIGUSR1)
  assert status == stopped
  assert "requeue" not in str(slurm.calls("scontrol"))


def test_a_failed_task_fails_the_job(slurm):
  slurm.python(status=3)
  assert slurm.run(SCRIPT, *FLAGS, **_job(slurm)).returncode == 3
  assert "requeue" not in str(slurm.calls("scontrol"))


def test_a_dry_run_prints_all_and_runs_nothing(slurm):
  ran = slurm.run(SCRIPT, "--dry-run", *FLAGS, **_job(slurm))
  assert ran.returncode == 0, ran.stderr
  lines = [shlex.split(line) for line in ran.stdout.splitlines()]
  assert lines[-1][:2] == ["srun", "--kill-on-bad-exit=0"]
  assert lines[-1][-3:] == ["pinrec_jax.main", *FLAGS]
  assert ["export", "JAX_NUM_PROCESSES=2"] in lines
  assert not slurm.calls("srun")
  assert "pinrec_jax" not in str(slurm.calls("python"))
  outside = slurm.run(SCRIPT, "--dry-run", *FLAGS)
  assert "FIRST_NODE:12000" in outside.stdout


@pytest.mark.parametrize(
  ("flags", "env", "complaint"),
  [
    (FLAGS, {"SLURM_JOB_ID": ""}, "start the job with sbatch"),
    ((), {}, "there are no flags; write at least --config=FILE"),
    (FLAGS, {"PORT": "http"}, "PORT is 'http'; set it to a free port"),
    (FLAGS, {"SLURM_SUBMIT_DIR": "/tmp"}, "which is not the repository root"),
    (("--workdir=gs://b/x",), {}, "'gs://b/x', which is an address"),
    (("--workdir", "gs://b/x"), {}, "'gs://b/x', which is an address"),
  ],
)
def test_errors_are_found_before_anything_runs(slurm, flags, env, complaint):
  ran = slurm.run(SCRIPT, *flags, **(_job(slurm) | env))
  assert ran.returncode == 1
  assert complaint in ran.stderr
  assert not slurm.calls()


def test_options_of_sbatch_come_before_the_first_command(slurm):
  lines = (slurm.root / SCRIPT).read_text().splitlines()
  assert lines[1].startswith(f"# {SCRIPT} [--dry-run]")
  options = [n for n, line in enumerate(lines) if line.startswith("#SBATCH ")]
  commands = [n for n, line in enumerate(lines) if line and line[0] != "#"]
  assert max(options) < min(commands)
  assert "#SBATCH --signal=B:USR1@180" in lines
