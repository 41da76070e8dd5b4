"""The schedules of launch/daily.sh, with fake schedulers."""

import shlex
import subprocess

import pytest
import yaml

SCRIPT = "launch/daily.sh"
FLAGS = ("--config=configs/custom_log.py", "--workdir=runs/a b", "--x=5%")
SET = {"IMAGE": "registry/pinrec_jax:tpu", "CLAIM": "runs"}
# Lists the table, or replaces it by the input.
TABLE = """
if [[ $1 == -l ]]; then cat {table} 2>/dev/null; else cat >{table}; fi
"""


@pytest.fixture(params=["cron", "slurm"])
def scheduler(request, stage):
  """A stage with a fake crontab; its kind, and its table as a file."""
  table = stage.folder / "table"
  name = {"cron": "crontab", "slurm": "scrontab"}[request.param]
  stage.add(name, TABLE.format(table=shlex.quote(str(table))))
  stage.kind, stage.table = request.param, table
  return stage


def _schedule(stage, *flags, **env):
  ran = stage.run(SCRIPT, stage.kind, *(flags or FLAGS), **env)
  assert ran.returncode == 0, ran.stderr
  return stage.table.read_text().splitlines()


def test_a_line_of_a_crontab_runs_the_update(scheduler):
  scheduler.table.write_text("0 1 * * * other job\n")
  *before, line = _schedule(scheduler, EXTRAS="cuda12")
  assert before[:2] == ["0 1 * * * other job", "# pinrec-daily"]
  assert line.startswith("15 3 * * * cd ")
  assert r"--x=5\%" in line  # Cron ends a command at a plain "%".
  command = line.removeprefix("15 3 * * * ").replace(r"\%", "%")
  local = scheduler.root / "launch" / "local.sh"
  local.write_text('printf "%s\\n" "$EXTRAS" "$@" >../called; pwd')
  subprocess.run(
    ["bash", "-c", command], env=scheduler.env(), check=True, timeout=60
  )
  called = (scheduler.folder / "called").read_text().splitlines()
  assert called == ["cuda12", *FLAGS, "--mode=update"]
  log = scheduler.root / "pinrec-daily.log"
  assert log.read_text().strip() == str(scheduler.root)


def test_the_same_name_replaces_a_schedule(scheduler):
  scheduler.table.write_text("0 1 * * * other job\n")
  _schedule(scheduler, GPUS="2")
  first = _schedule(scheduler, GPUS="2", SCHEDULE="0 4 * * 1-5")
  assert sum("launch/local.sh" in line for line in first) == 1
  assert first[0] == "0 1 * * * other job"
  assert first[-1].startswith("0 4 * * 1-5 cd ")
  gpus = [line for line in first if line.startswith("#SCRON")]
  assert gpus == ["#SCRON --gpus=2"] * (scheduler.kind == "slurm")
  other = _schedule(scheduler, NAME="second")
  assert sum("launch/local.sh" in line for line in other) == 2


def test_a_dry_run_installs_nothing(scheduler):
  ran = scheduler.run(SCRIPT, "--dry-run", scheduler.kind, *FLAGS)
  assert ran.returncode == 0, ran.stderr
  assert ran.stdout.splitlines()[0].endswith("crontab -")
  assert "--mode=update" in ran.stdout
  assert not scheduler.table.exists()


def test_a_cron_job_of_kubernetes(stage):
  stage.add("kubectl", f"cat >'{stage.folder}/applied'")
  flags = ("--config=configs/custom_log.py", '--workdir=/mnt/share/"a"')
  env = SET | {"ACCELERATOR": "nvidia-l4", "GPUS": "1", "NAMESPACE": "ml"}
  ran = stage.run(SCRIPT, "gke", *flags, **env)
  assert ran.returncode == 0, ran.stderr
  applied = (stage.folder / "applied").read_text()
  dry = stage.run(SCRIPT, "--dry-run", "gke", *flags, **env)
  head, _, text = dry.stdout.partition("\n")
  assert head == "# kubectl apply --filename=- --namespace=ml"
  assert text == applied
  manifest = yaml.safe_load(applied)
  assert manifest["spec"]["concurrencyPolicy"] == "Forbid"
  assert manifest["spec"]["schedule"] == "15 3 * * *"
  pod = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]
  (main,) = pod["containers"]
  assert main["args"] == [*flags, "--mode=update"]
  assert main["resources"] == {"limits": {"nvidia.com/gpu": 1}}
  selector = {"cloud.google.com/gke-accelerator": "nvidia-l4"}
  assert pod["nodeSelector"] == selector
  (volume,) = pod["volumes"]
  assert volume["persistentVolumeClaim"] == {"claimName": "runs"}
  plain = stage.run(SCRIPT, "--dry-run", "gke", *flags, **SET)
  assert "nodeSelector" not in plain.stdout
  assert "resources" not in plain.stdout


@pytest.mark.parametrize(
  ("arguments", "env", "complaint"),
  [
    (("hourly", *FLAGS), {}, "write cron, slurm or gke"),
    (("cron",), {}, "there are no flags"),
    (("cron", *FLAGS), {"SCHEDULE": "daily"}, "write five fields"),
    (("cron", "--x=a\nb"), {}, "has a control character"),
    (("slurm", *FLAGS), {"GPUS": "all"}, "set it to the number of GPUs"),
    (("gke", *FLAGS), {}, "IMAGE is ''"),
    (("gke", *FLAGS), SET, "use /mnt/share/"),
  ],
)
def test_bad_settings_are_named(stage, arguments, env, complaint):
  ran = stage.run(SCRIPT, *arguments, **env)
  assert ran.returncode == 1
  assert complaint in ran.stderr
