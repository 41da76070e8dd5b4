"""The manifests of launch/serve.sh, with a fake kubectl."""

import subprocess

import fleet
import jsonschema
import kubernetes_validate
import pytest
import yaml

from pinrec_jax import config as config_lib
from pinrec_jax import validation
from pinrec_jax.serve import server

SCRIPT = "launch/serve.sh"
FLAGS = ("--config=configs/demo.py", "--workdir=gs://bucket/run")
SET = {"IMAGE": "registry/pinrec_jax:cpu"}
# The fields of kserve/kserve beside those of a pod, as in commit
# 017d86a94cb89b242e219f7a717ee56fc8f43eef, file
# pkg/apis/serving/v1beta1/component.go.
NUMBER, TEXTS = (
  {"type": "integer"},
  {"additionalProperties": {"type": "string"}},
)
EXTENSION = {
  "type": "object",
  "properties": {
    "labels": TEXTS,
    "annotations": TEXTS,
    "minReplicas": NUMBER,
    "maxReplicas": NUMBER,
    "scaleMetric": {"enum": ["cpu", "memory", "concurrency", "rps"]},
    "scaleTarget": NUMBER,
    "deploymentStrategy": {"type": "object"},
  },
  "additionalProperties": False,
}


@pytest.fixture
def kubectl(stage):
  stage.add("kubectl", f"cat >'{stage.folder}/applied'")
  return stage


def _valid(manifest):
  kubernetes_validate.validate(manifest, "1.37", strict=True)
  return manifest


def _manifests(stage, kind="kubernetes", flags=FLAGS, **env):
  ran = stage.run(SCRIPT, "--dry-run", kind, *flags, **(SET | env))
  assert ran.returncode == 0, ran.stderr
  found = list(yaml.safe_load_all(ran.stdout))
  return {manifest["kind"]: manifest for manifest in found}


def _pod(stage, **env):
  deployment = _manifests(stage, **env)["Deployment"]
  return deployment["spec"]["template"]["spec"]


def test_every_manifest_has_the_published_schema(kubectl):
  full = {"CLAIM": "runs", "GPUS": "1", "ACCELERATOR": "nvidia-l4"}
  for env in ({}, full):
    found = _manifests(kubectl, **env)
    assert [*found] == [
      "Deployment", "Service", "HorizontalPodAutoscaler",
      "PodDisruptionBudget",
    ]  # fmt: skip
    for manifest in found.values():
      _valid(manifest)
  wrong = {"apiVersion": "v1", "kind": "Service", "spec": {"prots": []}}
  with pytest.raises(kubernetes_validate.ValidationError, match="prots"):
    _valid(wrong)


def test_all_objects_mean_the_same_pods(kubectl):
  found = _manifests(kubectl, NAME="mine", MIN="3", MAX="7", LOAD="50")
  labels = {"app": "mine"}
  deployment = found["Deployment"]["spec"]
  assert deployment["template"]["metadata"]["labels"] == labels
  assert deployment["selector"]["matchLabels"] == labels
  assert "replicas" not in deployment  # It would undo the autoscaler.
  assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
  assert found["Service"]["spec"]["selector"] == labels
  budget = found["PodDisruptionBudget"]["spec"]
  assert budget["selector"]["matchLabels"] == labels
  scaler = found["HorizontalPodAutoscaler"]["spec"]
  assert scaler["scaleTargetRef"]["name"] == "mine"
  assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 7)
  (port,) = found["Service"]["spec"]["ports"]
  (main,) = deployment["template"]["spec"]["containers"]
  assert port["targetPort"] == main["ports"][0]["name"] == "http"


def test_the_server_accepts_its_flags(kubectl):
  (main,) = _pod(kubectl, DRAIN="40", WATCH="3")["containers"]
  assert main["args"][:2] == [*FLAGS]
  assert main["args"][2] == "--mode=serve"
  given = dict(arg[2:].split("=", 1) for arg in main["args"][3:])
  env = {entry["name"]: entry for entry in main["env"]}
  assert given["config.serve.store"] == "$(STORE)"
  secret = env["STORE"]["valueFrom"]["secretKeyRef"]
  assert secret == {"name": "pinrec-serve", "key": "store"}
  assert env[server.TOKEN]["valueFrom"]["secretKeyRef"]["key"] == "token"
  given["config.serve.store"] = "redis://redis:6379/0"
  values = {
    name.removeprefix("config."): type(
      getattr(config_lib.Serve(), name.rpartition(".")[2])
    )(value)
    for name, value in given.items()
  }
  made = config_lib.replace(config_lib.Config(), **values)
  validation.validate(made)
  assert made.serve.port == main["ports"][0]["containerPort"]
  assert made.serve.drain_seconds == 40
  assert made.serve.watch_seconds == 3
  assert made.serve.host == "0.0.0.0"


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_the_proxies_accept_their_files(tmp_path, kind):
  if not (program := fleet.program(kind)):
    pytest.skip(f"{kind} is not installed")
  own = {
    "nginx": ["-t", "-p", str(tmp_path), "-c", str(fleet.FILES["nginx"])],
    "haproxy": ["-c", "-f", str(fleet.FILES["haproxy"])],
  }
  subprocess.run([program, *own[kind]], check=True, capture_output=True)
  text = fleet.FILES[kind].read_text()
  for address in (fleet.FRONT, *fleet.BACKENDS):
    assert address in text


@pytest.mark.parametrize("drain", [1, 20, 300])
def test_a_pod_has_the_time_to_drain(kubectl, drain):
  pod = _pod(kubectl, DRAIN=str(drain))
  (main,) = pod["containers"]
  command = main["lifecycle"]["preStop"]["exec"]["command"]
  assert command[0] == "sleep"
  left = pod["terminationGracePeriodSeconds"] - int(command[1])
  assert left >= drain + 5  # The last batch and the store.
  assert pod["shareProcessNamespace"]  # SIGTERM reaches the program.


def test_probes_ask_what_the_server_answers_without_a_token(kubectl):
  (main,) = _pod(kubectl)["containers"]
  paths = {
    name: main[f"{name}Probe"]["httpGet"]["path"]
    for name in ("startup", "readiness", "liveness")
  }
  assert paths == {
    "startup": "/readyz", "readiness": "/readyz", "liveness": "/livez",
  }  # fmt: skip
  startup = main["startupProbe"]
  assert startup["failureThreshold"] * startup["periodSeconds"] >= 600


def test_resources_and_nodes(kubectl):
  env = {"CPU": "2", "MEMORY": "3Gi", "GPUS": "1", "ACCELERATOR": "nvidia-l4"}
  pod = _pod(kubectl, CLAIM="runs", **env)
  (main,) = pod["containers"]
  assert main["resources"] == {
    "requests": {"cpu": "2", "memory": "3Gi"},
    "limits": {"memory": "3Gi", "nvidia.com/gpu": 1},
  }
  assert pod["nodeSelector"] == {
    "cloud.google.com/gke-accelerator": "nvidia-l4"
  }
  (volume,) = pod["volumes"]
  assert volume["persistentVolumeClaim"] == {"claimName": "runs"}
  plain = _pod(kubectl)
  assert "nodeSelector" not in plain
  assert plain["volumes"][0]["emptyDir"] == {}


def test_kserve_runs_the_same_pod(kubectl):
  found = _manifests(kubectl, "kserve", MIN="3", MAX="4")
  own = found["InferenceService"]
  assert own["apiVersion"] == "serving.kserve.io/v1beta1"
  predictor = own["spec"]["predictor"]
  pod = _pod(kubectl)
  extension = {k: v for k, v in predictor.items() if k not in pod}
  jsonschema.validate(extension, EXTENSION)
  assert (extension["minReplicas"], extension["maxReplicas"]) == (3, 4)
  strategy = _manifests(kubectl)["Deployment"]["spec"]["strategy"]
  assert (
    extension["deploymentStrategy"]["rollingUpdate"]
    == (strategy["rollingUpdate"])
  )
  # KServe looks for this name.
  pod["containers"][0]["name"] = "kserve-container"
  assert {k: v for k, v in predictor.items() if k in pod} == pod
  _valid({"apiVersion": "v1", "kind": "Pod", "spec": pod})


def test_it_applies_the_manifest_of_the_dry_run(kubectl):
  odd = (*FLAGS, "--x=\"a\\b\" 'c': # ${IMAGE} * $(HOME)")
  env = SET | {"NAMESPACE": "ml"}
  dry = kubectl.run(SCRIPT, "--dry-run", "kubernetes", *odd, **env)
  command, _, printed = dry.stdout.partition("\n")
  assert command == "# kubectl apply --filename=- --namespace=ml"
  assert not kubectl.calls()
  ran = kubectl.run(SCRIPT, "kubernetes", *odd, **env)
  assert ran.returncode == 0, ran.stderr
  assert (kubectl.folder / "applied").read_text() == printed
  deployment, *_ = yaml.safe_load_all(printed)
  (main,) = deployment["spec"]["template"]["spec"]["containers"]
  assert main["args"][2] == odd[2].replace("$(", "$$(")


@pytest.mark.parametrize(
  ("arguments", "env", "complaint"),
  [
    (("knative", *FLAGS), {}, "write kubernetes or kserve"),
    (("kserve",), {}, "there are no flags"),
    (("kserve", *FLAGS), {"IMAGE": ""}, "IMAGE is ''"),
    (("kserve", *FLAGS), {"MIN": "9", "MAX": "3"}, "MIN is '9'"),
    (("kserve", *FLAGS), {"MEMORY": "lots"}, "write it as 8Gi"),
    (("kserve", *FLAGS), {"DRAIN": "20s"}, "set it to a number of seconds"),
    (("kserve", *FLAGS), {"LOAD": "150"}, "LOAD is '150'"),
    (("kserve", FLAGS[0], "--workdir=runs/a"), {}, "use an address such as"),
    (
      ("kserve", FLAGS[0], "--workdir=runs/a"),
      {"CLAIM": "runs"},
      "use /mnt/share/",
    ),
  ],
)
def test_bad_settings_are_named(kubectl, arguments, env, complaint):
  ran = kubectl.run(SCRIPT, *arguments, **(SET | env))
  assert ran.returncode == 1
  assert complaint in ran.stderr
  assert not kubectl.calls()
