"""A JSON schema for those fields of a JobSet that launch/gke uses.

The JobSet and the Job are as in kubernetes-sigs/jobset, commit
0a2be5c551fcee10134addb43a2fb2673743788e, file
config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml. The pod is as in
core/v1. Here, an unknown field is an error. So a misspelt field is found, which
the cluster would ignore.
"""


def _fields(required: str = "", /, **kinds) -> dict:
  return {
    "type": "object",
    "properties": kinds,
    "required": required.split(),
    "additionalProperties": False,
  }


def _list(kind: dict) -> dict:
  return {"type": "array", "items": kind}


def _map(kind: dict) -> dict:
  return {"type": "object", "additionalProperties": kind}


def _one(*values: str) -> dict:
  return {"enum": [*values]}


TEXT = {"type": "string"}
NUMBER = {"type": "integer"}
TRUTH = {"type": "boolean"}

_CONTAINER = _fields(
  "name",
  name=TEXT,
  image=TEXT,
  args=_list(TEXT),
  env=_list(
    _fields(
      "name",
      name=TEXT,
      value=TEXT,
      valueFrom=_fields(fieldRef=_fields("fieldPath", fieldPath=TEXT)),
    )
  ),
  ports=_list(_fields("containerPort", containerPort=NUMBER)),
  resources=_fields(limits=_map({"type": ["integer", "string"]})),
  securityContext=_fields(
    allowPrivilegeEscalation=TRUTH,
    privileged=TRUTH,
    runAsNonRoot=TRUTH,
    runAsUser=NUMBER,
  ),
  volumeMounts=_list(_fields("mountPath name", mountPath=TEXT, name=TEXT)),
)

_POD = _fields(
  "containers",
  containers=_list(_CONTAINER),
  nodeSelector=_map(TEXT),
  restartPolicy=_one("Always", "OnFailure", "Never"),
  securityContext=_fields(fsGroup=NUMBER),
  shareProcessNamespace=TRUTH,
  terminationGracePeriodSeconds=NUMBER,
  tolerations=_list(
    _fields(
      effect=_one("NoSchedule", "PreferNoSchedule", "NoExecute"),
      key=TEXT,
      operator=_one("Exists", "Equal"),
      value=TEXT,
    )
  ),
  volumes=_list(
    _fields(
      "name",
      name=TEXT,
      emptyDir=_fields(medium=TEXT),
      persistentVolumeClaim=_fields("claimName", claimName=TEXT),
    )
  ),
)

_JOB = _fields(
  "template",
  backoffLimit=NUMBER,
  completionMode=_one("NonIndexed", "Indexed"),
  completions=NUMBER,
  parallelism=NUMBER,
  podFailurePolicy=_fields(
    "rules",
    rules=_list(
      _fields(
        "action",
        action=_one("FailJob", "FailIndex", "Ignore", "Count"),
        onExitCodes=_fields(
          "operator values",
          containerName=TEXT,
          operator=_one("In", "NotIn"),
          values=_list(NUMBER),
        ),
        onPodConditions=_list(_fields("status type", status=TEXT, type=TEXT)),
      )
    ),
  ),
  template=_fields(spec=_POD),
)

SCHEMA = _fields(
  "apiVersion kind metadata spec",
  apiVersion={"const": "jobset.x-k8s.io/v1alpha2"},
  kind={"const": "JobSet"},
  metadata=_fields("name", name=TEXT, annotations=_map(TEXT)),
  spec=_fields(
    failurePolicy=_fields(
      maxRestarts=NUMBER,
      restartStrategy=_one("Recreate", "BlockingRecreate"),
      rules=_list(
        _fields(
          "action name",
          action=_one(
            "FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"
          ),
          name=TEXT | {"pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"},
          onJobFailureReasons=_list(TEXT),
        )
      ),
    ),
    network=_fields(enableDNSHostnames=TRUTH, subdomain=TEXT),
    replicatedJobs=_list(
      _fields(
        "name template",
        name=TEXT,
        replicas=NUMBER,
        template=_fields(spec=_JOB),
      )
    ),
    ttlSecondsAfterFinished=NUMBER,
  ),
)
