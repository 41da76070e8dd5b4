"""The JobSets of launch/gke.sh, with a fake kubectl."""

import jobset
import jsonschema
import pytest
import yaml

SCRIPT = "launch/gke.sh"
FLAGS = ("--config=configs/demo.py", "--workdir=/mnt/share/run")
SET = {"IMAGE": "registry/pinrec_jax:tpu", "CLAIM": "runs"}


@pytest.fixture
def kubectl(stage):
  stage.add("kubectl", f"cat >'{stage.folder}/applied'")
  return stage


def _manifest(stage, kind: str, *flags: str, **env: str) -> dict:
  ran = stage.run(SCRIPT, "--dry-run", kind, *(flags or FLAGS), **(SET | env))
  assert ran.returncode == 0, ran.stderr
  assert flags or "${" not in ran.stdout
  manifest = yaml.safe_load(ran.stdout)
  jsonschema.validate(manifest, jobset.SCHEMA)
  return manifest


def _job(manifest: dict) -> dict:
  (job,) = manifest["spec"]["replicatedJobs"]
  return job["template"]["spec"]


def _pod(manifest: dict) -> dict:
  return _job(manifest)["template"]["spec"]


def _main(manifest: dict) -> dict:
  (container,) = _pod(manifest)["containers"]
  return container


@pytest.mark.parametrize(
  ("kind", "env", "hosts", "limits"),
  [
    ("tpu", {}, 2, {"google.com/tpu": 4}),
    ("tpu", {"TOPOLOGY": "4x4x8"}, 32, {"google.com/tpu": 4}),
    ("tpu", {"TOPOLOGY": "2x4", "CHIPS": "8"}, 1, {"google.com/tpu": 8}),
    ("gpu", {}, 1, {"nvidia.com/gpu": 8}),
    ("gpu", {"HOSTS": "3", "CHIPS": "1"}, 3, {"nvidia.com/gpu": 1}),
  ],
)
def test_every_host_joins_the_first_host(kubectl, kind, env, hosts, limits):
  manifest = _manifest(kubectl, kind, NAME="mine", **env)
  job, main = _job(manifest), _main(manifest)
  assert (job["completions"], job["parallelism"]) == (hosts, hosts)
  assert job["completionMode"] == "Indexed"
  assert main["resources"]["limits"] == limits
  world = {entry["name"]: entry for entry in main["env"]}
  # With enableDNSHostnames, a pod is JOBSET-JOB-INDEX-POD.SUBDOMAIN.
  assert manifest["spec"]["network"]["subdomain"] == "mine"
  (replicated,) = manifest["spec"]["replicatedJobs"]
  assert world["JAX_COORDINATOR_ADDRESS"]["value"] == (
    f"mine-{replicated['name']}-0-0.mine:8482"
  )
  assert world["JAX_NUM_PROCESSES"]["value"] == str(hosts)
  path = world["JAX_PROCESS_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
  assert "batch.kubernetes.io/job-completion-index" in path


@pytest.mark.parametrize("kind", ["tpu", "gpu"])
def test_a_preempted_run_starts_again(kubectl, kind):
  manifest = _manifest(kubectl, kind, RESTARTS="7", GRACE="90")
  policy, job = manifest["spec"]["failurePolicy"], _job(manifest)
  assert policy["maxRestarts"] == 7
  (rule,) = policy["rules"]
  assert rule["action"] == "RestartJobSetAndIgnoreMaxRestarts"
  assert rule["onJobFailureReasons"] == ["PodFailurePolicy"]
  lost, stopped = job["podFailurePolicy"]["rules"]
  assert lost["onPodConditions"] == [
    {"type": "DisruptionTarget", "status": "True"}
  ]
  assert stopped["onExitCodes"]["values"] == [75]
  assert stopped["onExitCodes"]["containerName"] == _main(manifest)["name"]
  assert lost["action"] == stopped["action"] == "FailJob"
  assert job["backoffLimit"] == 0  # A failed pod fails the JobSet.
  assert _pod(manifest)["restartPolicy"] == "Never"
  assert _pod(manifest)["terminationGracePeriodSeconds"] == 90


def test_the_two_kinds_differ_only_in_their_nodes(kubectl):
  tpu, gpu = (_manifest(kubectl, kind, CHIPS="8") for kind in ("tpu", "gpu"))
  del tpu["metadata"]["annotations"]
  for manifest in (tpu, gpu):
    for field in ("nodeSelector", "tolerations", "volumes", "securityContext"):
      _pod(manifest).pop(field, None)
    for field in ("resources", "securityContext", "volumeMounts"):
      _main(manifest).pop(field)
  assert tpu == gpu


def test_nodes_and_work_folder(kubectl):
  tpu = _pod(_manifest(kubectl, "tpu", SPOT="1"))
  assert tpu["nodeSelector"] == {
    "cloud.google.com/gke-tpu-accelerator": "tpu-v6e-slice",
    "cloud.google.com/gke-tpu-topology": "2x4",
    "cloud.google.com/gke-spot": "true",
  }
  assert tpu["volumes"][0]["persistentVolumeClaim"] == {"claimName": "runs"}
  gpu = _pod(
    _manifest(kubectl, "gpu", CLAIM="", LOCAL_WORKDIR="1", ACCELERATOR="l4")
  )
  flags = ("--config=x", "--workdir=gs://b/run")
  own = _main(
    _manifest(kubectl, "gpu", *flags, CLAIM="", LOCAL_WORKDIR="1", HOSTS="1")
  )
  assert own["args"] == [*flags]
  assert gpu["nodeSelector"] == {"cloud.google.com/gke-accelerator": "l4"}
  assert gpu["volumes"][0] == {"name": "share", "emptyDir": {}}
  for pod in (tpu, gpu):
    mounts = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}


def test_flags_arrive_unchanged(kubectl):
  odd = "--x=\"a\\b\" 'c': # ${IMAGE} * $HOME"
  args = _main(_manifest(kubectl, "gpu", *FLAGS, odd))["args"]
  assert args == [*FLAGS, odd]
  args = _main(_manifest(kubectl, "gpu", *FLAGS, "--x=$(HOME)"))["args"]
  assert args[-1] == "--x=$$(HOME)"  # Kubernetes turns it into $(HOME).


def test_it_applies_the_manifest_of_the_dry_run(kubectl):
  dry = kubectl.run(SCRIPT, "--dry-run", "tpu", *FLAGS, **SET, NAMESPACE="ml")
  assert not kubectl.calls()
  command, _, printed = dry.stdout.partition("\n")
  assert command == "# kubectl apply --filename=- --namespace=ml"
  ran = kubectl.run(SCRIPT, "tpu", *FLAGS, **SET, NAMESPACE="ml")
  assert ran.returncode == 0, ran.stderr
  assert kubectl.calls() == [command.removeprefix("# ").split()]
  assert (kubectl.folder / "applied").read_text() == printed


@pytest.mark.parametrize(
  ("arguments", "env", "complaint"),
  [
    ((), {}, "the kind of node is ''; write tpu or gpu"),
    (("cpu", *FLAGS), {}, "the kind of node is 'cpu'; write tpu or gpu"),
    (("tpu",), {}, "there are no flags"),
    (("tpu", *FLAGS), {"IMAGE": ""}, "IMAGE is ''; set it to an image"),
    (("tpu", *FLAGS), {"CLAIM": ""}, "CLAIM is ''; name a PersistentVolume"),
    (("tpu", *FLAGS), {"NAME": "My_run"}, "NAME is 'My_run'; use at most 32"),
    (("tpu", *FLAGS), {"TOPOLOGY": "16"}, "TOPOLOGY is '16'; write it as 2x4"),
    (("tpu", *FLAGS), {"CHIPS": "3"}, "CHIPS is '3', which does not divide"),
    (("gpu", *FLAGS), {"HOSTS": "0"}, "HOSTS is '0'; set it to the number"),
    (("gpu", *FLAGS), {"SPOT": "yes"}, "SPOT is 'yes'; set it to 1"),
    (("gpu", *FLAGS), {"GRACE": "5m"}, "GRACE is '5m'; set it to a number"),
    (("gpu", "--workdir=runs/a"), {}, "--workdir is 'runs/a', which the hosts"),
    (("gpu", "--config=x"), {}, "--workdir is '', which the hosts do not"),
    (
      ("gpu", "--workdir=gs://b/a"),
      {"HOSTS": "2"},
      "--workdir is 'gs://b/a', which is an a",
    ),
    (("gpu", *FLAGS, "--x=a\nb"), {}, "has a control character"),
  ],
)
def test_errors_are_found_before_anything_runs(
  kubectl, arguments, env, complaint
):
  ran = kubectl.run(SCRIPT, *arguments, **(SET | env))
  assert ran.returncode == 1
  assert complaint in ran.stderr
  assert not kubectl.calls()
