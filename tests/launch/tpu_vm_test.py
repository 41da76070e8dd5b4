"""The scripts for a TPU slice, with a fake gcloud and a fake host."""

import shlex

import pytest

VM, HOST = "launch/tpu_vm.sh", "launch/tpu_host.sh"
FLAGS = ("--config=configs/demo.py", "--workdir=/mnt/share/a b")
PLACE = ("--zone=us-east5-a",)
TPU = ("gcloud", "compute", "tpus", "tpu-vm")
QUEUE = ("gcloud", "compute", "tpus", "queued-resources")


@pytest.fixture
def cloud(stage):
  stage.add("gcloud")
  stage.add("git")
  return stage


@pytest.fixture
def host(stage):
  """A worker of a slice of two hosts; its Python is too old."""
  stage.add("sudo", '[[ $1 != mount ]] || "$@"')
  stage.add("mount")
  stage.add("mount.nfs")
  stage.add("mountpoint", "exit 1")
  stage.add("gcsfuse")
  for name in ("python3", "python"):
    stage.add(name, 'case "$*" in *version_info*) echo 3.10 ;; esac')
  fit = 'case "$*" in *version_info*) echo 3.12 ;; esac'
  stage.add("python", fit, stage.folder / ".local/bin/python3.12")
  stage.add("uv", "", stage.folder / ".local/bin/uv")
  stage.add("python", fit, stage.folder / ".venv-pinrec/bin/python")
  stage.metadata = lambda worker, hosts: stage.add(
    "curl",
    f"case $* in *agent-worker-number) echo {worker} ;;"
    f" *worker-network-endpoints) echo {hosts} ;; *) echo : ;; esac",
  )
  stage.metadata(1, "a:1:10.0.0.4,b:2:10.0.0.5")
  return stage


def _ssh(line: str, worker: str = "all") -> list[str]:
  return [*TPU, "ssh", "pinrec", f"--worker={worker}", f"--command={line}"]


def _dry(stage, script: str, *arguments: str, **env: str) -> list[list[str]]:
  ran = stage.run(script, "--dry-run", *arguments, **env)
  assert ran.returncode == 0, ran.stderr
  return [shlex.split(line) for line in ran.stdout.splitlines()]


@pytest.mark.parametrize(
  ("size", "version"),
  [
    ("v6e-8", "v2-alpha-tpuv6e"),
    ("v5p-16", "v2-alpha-tpuv5"),
    ("v5litepod-4", "v2-alpha-tpuv5-lite"),
    ("v4-8", "tpu-ubuntu2204-base"),
  ],
)
def test_create_makes_a_slice(cloud, size, version):
  ran = cloud.run(VM, "create", TYPE=size, SPOT="1", PROJECT="mine")
  assert ran.returncode == 0, ran.stderr
  flags = [f"--accelerator-type={size}", f"--version={version}", "--spot"]
  assert cloud.calls() == [
    [*TPU, "create", "pinrec", *flags, *PLACE, "--project=mine"]
  ]


def test_a_dry_run_says_what_was_compiled_for_the_slice(cloud):
  ran = cloud.run(VM, "--dry-run", "create", TYPE="v5litepod-8")
  assert ran.returncode == 0
  assert "v5litepod-8 is v5e:2x4: " in ran.stderr
  assert "v5e-8/1b/step takes" in ran.stderr
  ran = cloud.run(VM, "--dry-run", "create", TYPE="v4-8")
  assert ran.returncode == 0
  assert "nothing was compiled for v4-8" in ran.stderr
  assert cloud.run(VM, "create", TYPE="v5litepod-8").stderr.count("\n") == 1


def test_it_waits_for_a_queued_slice(cloud):
  cloud.add(
    "gcloud",
    'case "$*" in *describe*)'
    f" echo x >>'{cloud.folder}/asked';"
    f" [[ $(<'{cloud.folder}/asked') == *x*x*x* ]] && echo ACTIVE ||"
    " echo WAITING_FOR_RESOURCES ;; esac",
  )
  ran = cloud.run(VM, "create", QUEUED="1", POLL="0", VERSION="v9")
  assert ran.returncode == 0, ran.stderr
  flags = ["--accelerator-type=v6e-8", "--runtime-version=v9"]
  ask = ["describe", "pinrec", "--format=value(state.state)", *PLACE]
  assert cloud.calls() == [
    [*QUEUE, "create", "pinrec", "--node-id=pinrec", *flags, *PLACE],
    *([[*QUEUE, *ask]] * 3),
  ]


def test_it_does_not_wait_for_a_failed_request(cloud):
  cloud.add("gcloud", 'case "$*" in *describe*) echo FAILED ;; esac')
  ran = cloud.run(VM, "create", QUEUED="1", POLL="0")
  assert ran.returncode == 1
  assert "the request pinrec is FAILED; run launch/tpu_vm.sh del" in ran.stderr


def test_run_installs_and_starts_on_all_hosts(cloud):
  env = {"TYPE": "v6e-16", "SHARE": "10.0.0.2:/runs"}
  flags = (*FLAGS, "--x=$HOME 'a'")
  dry = _dry(cloud, VM, "run", *flags, **env)
  assert not cloud.calls()
  ran = cloud.run(VM, "run", *flags, **env)
  assert ran.returncode == 0, ran.stderr
  calls = cloud.calls()
  assert calls == dry
  archive, ask, copy, unpack, start = calls
  assert archive[:3] == ["git", "archive", "--format=tar.gz"]
  assert ask == [*_ssh("! systemctl is-active pinrec"), *PLACE]
  assert copy[4:] == [
    *("scp", archive[3].removeprefix("--output=")),
    *("pinrec:pinrec_jax.tar.gz", "--worker=all", *PLACE),
  ]
  assert "tar -xzf pinrec_jax.tar.gz" in unpack[-2]
  # The hosts' shells read the flags unchanged.
  assert start[:6] == [*TPU, "ssh", "pinrec"]
  assert shlex.split(start[-2].removeprefix("--command=")) == [
    *("env", "SHARE=10.0.0.2:/runs", "bash", "pinrec_jax/launch/tpu_host.sh"),
    *flags,
  ]


def test_a_running_program_is_not_replaced(cloud):
  cloud.add("gcloud", 'case "$*" in *is-active*) exit 1 ;; esac')
  assert cloud.run(VM, "run", *FLAGS).returncode != 0
  assert not [call for call in cloud.calls("gcloud") if "scp" in call]


def test_logs_stop_fetch_and_delete(cloud):
  for command, env in (
    (["logs"], {"WORKER": "3"}),
    (["stop"], {}),
    (["fetch", "runs/demo"], {}),
    (["fetch", "/mnt/share/own"], {}),
    (["delete"], {}),
    (["delete"], {"QUEUED": "1"}),
  ):
    assert cloud.run(VM, *command, **env).returncode == 0
  logs, stop, fetch, shared, delete, dequeue = cloud.calls()
  assert logs[6] == "--worker=3"
  assert "journalctl --unit=pinrec" in logs[7]
  assert stop == [*_ssh("sudo systemctl stop pinrec"), *PLACE]
  assert fetch[4:8] == [
    "scp", "--recurse", "pinrec:pinrec_jax/runs/demo", "runs/"
  ]  # fmt: skip
  assert shared[6] == "pinrec:/mnt/share/own"
  assert delete == [*TPU, "delete", "pinrec", "--quiet", *PLACE]
  assert dequeue == [*QUEUE, "delete", "pinrec", "--force", "--quiet", *PLACE]


@pytest.mark.parametrize(
  ("arguments", "env", "complaint"),
  [
    ((), {}, "the command is ''; use create, run, logs"),
    (("start",), {}, "the command is 'start'; use create, run"),
    (("fetch",), {}, "there is no folder"),
    (("run",), {}, "there are no flags; write at least --config=FILE"),
    (("create",), {"NAME": "My"}, "NAME is 'My'; use at most 62"),
    (("create",), {"TYPE": "v6e"}, "TYPE is 'v6e'; choose from: gcloud"),
    (
      ("create",),
      {"ZONE": "us-east5"},
      "ZONE is 'us-east5'; use a zone that has",
    ),
    (("create",), {"SPOT": "no"}, "SPOT is 'no'; set it to 1"),
    (("create",), {"QUEUED": "no"}, "QUEUED is 'no'; set it to 1"),
    (("create",), {"SHARE": "/mnt"}, "SHARE is '/mnt'; write it as HOST:/"),
    (("logs",), {"WORKER": "all"}, "WORKER is 'all'; use the number"),
    (
      ("run", "--workdir=gs://b/x"),
      {"TYPE": "v6e-16"},
      "'gs://b/x', which is an address, and there are several processes",
    ),
  ],
)
def test_errors_are_found_before_anything_runs(
  cloud, arguments, env, complaint
):
  ran = cloud.run(VM, *arguments, **env)
  assert ran.returncode == 1
  assert complaint in ran.stderr
  assert not cloud.calls()


@pytest.mark.parametrize(
  ("workdir", "env", "allowed"),
  [
    ("runs/a", {"TYPE": "v6e-8"}, True),
    ("gs://b/a", {"TYPE": "v6e-8"}, True),
    ("runs/a", {"TYPE": "v6e-16"}, False),
    ("runs/a", {"TYPE": "v6e-16", "LOCAL_WORKDIR": "1"}, True),
    ("/nfs/a", {"TYPE": "v6e-16"}, True),
    ("/nfs/a", {"TYPE": "v6e-16", "SHARE": "gs://b"}, False),
    ("/mnt/share/a", {"TYPE": "v6e-16", "SHARE": "gs://b"}, True),
  ],
)
def test_several_hosts_need_one_work_folder(cloud, workdir, env, allowed):
  ran = cloud.run(VM, "run", "--config=x", f"--workdir={workdir}", **env)
  assert (ran.returncode == 0) == allowed
  if not allowed:
    assert f"--workdir is '{workdir}', which the hosts do not" in ran.stderr
    assert "set SHARE and use /mnt/share/..." in ran.stderr
    assert not cloud.calls()


@pytest.mark.parametrize(
  ("worker", "hosts", "first", "count"),
  [
    (1, "a:1:10.0.0.4,b:2:10.0.0.5", "10.0.0.4", 2),
    (3, "t-0,t-1,t-2,t-3", "t-0", 4),
    (0, "a:1:10.0.0.4", "10.0.0.4", 1),
  ],
)
def test_a_host_joins_the_first_host(host, worker, hosts, first, count):
  host.metadata(worker, hosts)
  ran = host.run(HOST, *FLAGS, "--x=$HOME")
  assert ran.returncode == 0, ran.stderr
  last = host.calls()[-1]
  assert last[:3] == ["sudo", "systemd-run", "--unit=pinrec"]
  assert {
    f"--setenv=JAX_COORDINATOR_ADDRESS={first}:8482",
    f"--setenv=JAX_NUM_PROCESSES={count}",
    f"--setenv=JAX_PROCESS_ID={worker}",
    "--property=SuccessExitStatus=75",
  } <= set(last)
  python = f"{host.folder}/.venv-pinrec/bin/python"
  program = [python, "-m", "pinrec_jax.main", *FLAGS, "--x=$$HOME"]
  assert last[-len(program) :] == program
  assert [call for call in host.calls("python") if call[-1] == ".[bucket,tpu]"]


@pytest.mark.parametrize(
  ("share", "how"),
  [
    ("10.0.0.2:/runs", "mount --types nfs 10.0.0.2:/runs /mnt/share"),
    ("gs://mine", "gcsfuse --implicit-dirs --rename-dir-limit=100000"),
    ("", ""),
  ],
)
def test_a_host_mounts_the_shared_folder(host, share, how):
  lines = _dry(host, HOST, *FLAGS, SHARE=share)
  mounts = [" ".join(line) for line in lines if "/mnt/share" in line[-1]]
  mounts = [line for line in mounts if "workdir" not in line]
  assert bool(mounts) == bool(share)
  assert not share or how in mounts[-1]
  assert not host.calls("sudo")
  host.add("mountpoint")  # Now it is mounted.
  assert not [
    line for line in _dry(host, HOST, *FLAGS, SHARE=share) if "nfs" in line
  ]


def test_a_host_without_a_supported_python_installs_one(host):
  (host.folder / ".venv-pinrec/bin/python").unlink()
  lines = [" ".join(line) for line in _dry(host, HOST, *FLAGS)]
  assert any("astral.sh/uv/" in line for line in lines)
  assert any(line.endswith("python install --quiet 3.12") for line in lines)
  host.add("python3", 'case "$*" in *version_info*) echo 3.11 ;; esac')
  assert "astral.sh" not in str(_dry(host, HOST, *FLAGS))


def test_other_machines_are_refused(host):
  host.add("curl", "exit 6")
  ran = host.run(HOST, *FLAGS)
  assert ran.returncode == 1
  assert "run this on a Cloud TPU VM" in ran.stderr
  assert not host.calls("sudo")
