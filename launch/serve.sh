#!/usr/bin/env bash
# launch/serve.sh [--dry-run] kubernetes|kserve FLAG...
#
# Serves a run with several servers on a Kubernetes cluster:
#   IMAGE=... launch/serve.sh kubernetes --config=configs/custom_log.py \
#     --workdir=gs://my-bucket/runs/own
#
# It fills in launch/serve/kubernetes.yaml (a Deployment, a Service, an
# autoscaler and a disruption budget) or launch/serve/kserve.yaml (an
# InferenceService) and applies the result. --dry-run prints the result instead.
# The servers share a Redis or Valkey server. Its address and the token that
# clients send are in a Secret:
#   kubectl create secret generic pinrec-serve \
#     --from-literal=token="$(openssl rand -hex 32)" \
#     --from-literal=store=redis://:PASSWORD@redis:6379/0
#
# Settings, all from the environment:
#   IMAGE        image of launch/docker.sh in a registry; required
#   CLAIM        PersistentVolumeClaim of the work folder with ReadWriteMany,
#                mounted at /mnt/share; not needed if the work folder is in a
#                bucket
#   SECRET       name of the Secret; default: NAME
#   NAME         name of all objects; default: pinrec-serve
#   NAMESPACE    namespace of the cluster; default: kubectl's own
#   MIN, MAX     number of servers; default: 2 and 10
#   LOAD         % of CPU above which servers are added; default: 60
#   CPU, MEMORY  of one server; default: 4 and 8Gi. Two bundles must fit into the
#                memory.
#   GPUS         GPUs of one server; default: 0
#   ACCELERATOR  label of the node pool of GKE; default: none
#   DRAIN        seconds to finish open calls after SIGTERM; default: 20
#   WATCH        seconds between two looks at the current bundle; default: 10
#
# To delete all: kubectl delete deployment,service,hpa,pdb pinrec-serve

# The manifests use settings by their names.
# shellcheck disable=SC2034

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

kind=${1:-}
case $kind in
  kubernetes) CONTAINER=main ;;
  kserve) CONTAINER=kserve-container ;;
  *) fail "the kind is '$kind'; write kubernetes or kserve, then the flags" ;;
esac
shift
(($#)) || fail "there are no flags; write at least --config=FILE"
IMAGE=${IMAGE:-} CLAIM=${CLAIM:-} NAMESPACE=${NAMESPACE:-}
NAME=${NAME:-pinrec-serve} MIN=${MIN:-2} MAX=${MAX:-10} LOAD=${LOAD:-60}
CPU=${CPU:-4} MEMORY=${MEMORY:-8Gi} GPUS=${GPUS:-0} DRAIN=${DRAIN:-20}
ACCELERATOR=${ACCELERATOR:-} WATCH=${WATCH:-10} SECRET=${SECRET:-$NAME}
QUIET=5 GRACE=

count='[1-9][0-9]*'
label='[a-z0-9]([-a-z0-9.]*[a-z0-9])?'
demand IMAGE '[^[:space:]"]+' "set it to an image that the cluster can pull"
demand CLAIM "($label)?" "name a PersistentVolumeClaim"
demand NAME '[a-z]([-a-z0-9]{0,30}[a-z0-9])?' \
  "use at most 32 of a-z, 0-9 and -; start with a letter"
demand SECRET "$label" "name the Secret with the keys token and store"
demand NAMESPACE "($label)?" "use a namespace of the cluster"
demand MIN "$count" "set it to a number of servers"
demand MAX "$count" "set it to a number of servers"
((MIN <= MAX)) || fail "MIN is '$MIN', which is above MAX '$MAX'; lower it"
demand LOAD '[1-9][0-9]?' "set it to a percentage below 100"
demand CPU "$count" "set it to a number of cores"
demand MEMORY "${count}[MG]i" "write it as 8Gi"
demand GPUS '[0-9]+' "set it to the number of GPUs"
demand ACCELERATOR "($label)?" "use the accelerator label of the node pool"
demand DRAIN "$count" "set it to a number of seconds"
demand WATCH "$count" "set it to a number of seconds"
folder=/mnt/share/ remedy="use /mnt/share/..., which is on CLAIM"
[[ $CLAIM ]] || folder=gs:// remedy="use an address such as gs://BUCKET/FOLDER, \
or name a PersistentVolumeClaim: CLAIM"
demand_workdir "$folder" "$remedy" "$@"
GRACE=$((QUIET + DRAIN + 10))

# shellcheck source=launch/manifest.sh
source launch/manifest.sh
SHARE='emptyDir: {}'
[[ ! $CLAIM ]] || SHARE="persistentVolumeClaim: {claimName: $CLAIM}"
LIMITS="memory: $MEMORY" SELECTOR=
[[ $GPUS == 0 ]] || LIMITS="$LIMITS, nvidia.com/gpu: $GPUS"
[[ ! $ACCELERATOR ]] ||
  SELECTOR="nodeSelector: {cloud.google.com/gke-accelerator: $ACCELERATOR}"
ARGS=$(arguments 6 "$@")
indent=6
[[ $kind == kubernetes ]] || indent=4
pod=$(manifest launch/serve/pod.yaml)
printf -v newline '\n%*s' "$indent" ''
POD=${pod//$'\n'/$newline}

set -- kubectl apply --filename=-
[[ ! $NAMESPACE ]] || set -- "$@" "--namespace=$NAMESPACE"
text=$(manifest "launch/serve/$kind.yaml")
if [[ $dry ]]; then
  printf '# %s\n%s\n' "$(run "$@")" "$text"
else
  run "$@" <<<"$text"
fi
