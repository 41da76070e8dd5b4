#!/usr/bin/env bash
# launch/gke.sh [--dry-run] tpu|gpu FLAG...
#
# Runs pinrec_jax.main on a GKE cluster with a JobSet of 2025 or later:
#   IMAGE=... CLAIM=runs TOPOLOGY=4x4 launch/gke.sh tpu \
#     --config=configs/custom_log.py --workdir=/mnt/share/own
#
# Fills in launch/gke/tpu.yaml or launch/gke/gpu.yaml and applies it; --dry-run
# prints it instead. One process a host. All hosts read and write the work
# folder, so it lies on CLAIM, a PersistentVolumeClaim with ReadWriteMany, which
# is mounted at /mnt/share. A run that loses a host goes on from its last
# checkpoint: without end after preemptions, RESTARTS times after errors.
#
# Settings, all from the environment:
#   IMAGE        of launch/docker.sh, in a registry; it has to be set
#   CLAIM        the claim; LOCAL_WORKDIR=1 does without, and keeps nothing
#   NAME         of the JobSet, pinrec
#   NAMESPACE    of the cluster; kubectl's own by default
#   ACCELERATOR  tpu-v6e-slice or nvidia-h100-80gb, as node pools call it
#   TOPOLOGY     tpu: chips of the slice, 2x4
#   CHIPS        a host: 4 TPU chips or 8 GPUs
#   HOSTS        gpu: 1; for tpu it follows from the two above
#   SPOT         1 takes spot nodes
#   RESTARTS     after errors, 3
#   GRACE        seconds from SIGTERM to SIGKILL, 300
#
#   kubectl logs --follow --selector=jobset.sigs.k8s.io/jobset-name=pinrec
#   kubectl delete jobset pinrec

# The manifests take settings by name, and have ${ and $( as they stand.
# shellcheck disable=SC2016,SC2034

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

kind=${1:-}
case $kind in
  tpu)
    ACCELERATOR=${ACCELERATOR:-tpu-v6e-slice}
    TOPOLOGY=${TOPOLOGY:-2x4}
    CHIPS=${CHIPS:-4}
    ;;
  gpu)
    ACCELERATOR=${ACCELERATOR:-nvidia-h100-80gb}
    TOPOLOGY=
    CHIPS=${CHIPS:-8}
    HOSTS=${HOSTS:-1}
    ;;
  *) fail "the kind of node is '$kind'; give tpu or gpu, then the flags" ;;
esac
shift
(($#)) || fail "no flags are given; give at least --config=FILE"
IMAGE=${IMAGE:-} CLAIM=${CLAIM:-} SPOT=${SPOT:-} NAMESPACE=${NAMESPACE:-}
NAME=${NAME:-pinrec} RESTARTS=${RESTARTS:-3} GRACE=${GRACE:-300}

count='[1-9][0-9]*'
label='[a-z0-9]([-a-z0-9.]*[a-z0-9])?'
demand IMAGE '[^[:space:]"]+' "set it to one that the cluster can pull"
demand NAME '[a-z]([-a-z0-9]{0,30}[a-z0-9])?' \
  "use up to 32 of a-z, 0-9 and -, first a letter"
demand NAMESPACE "($label)?" "name one of the cluster's"
demand ACCELERATOR "$label" "name it as the label of the node pool does"
demand CHIPS "$count" "set it to how many a host has"
demand SPOT '[01]?' "set it to 1 for spot nodes, else leave it out"
demand RESTARTS '[0-9]+' "set it to a whole number"
demand GRACE "$count" "set it to a number of seconds"
if [[ $kind == tpu ]]; then
  demand TOPOLOGY "$count(x$count){1,2}" "write it as 2x4 or 2x2x2"
  chips=$((${TOPOLOGY//x/*}))
  ((chips % CHIPS == 0)) ||
    fail "CHIPS is '$CHIPS', which does not divide the $chips of TOPOLOGY" \
      "$TOPOLOGY; set it to how many a host has"
  HOSTS=$((chips / CHIPS))
fi
demand HOSTS "$count" "set it to the number of nodes"
if [[ ${LOCAL_WORKDIR:-} == 1 ]]; then
  demand CLAIM "($label)?" "name a PersistentVolumeClaim, or none"
else
  demand CLAIM "$label" "name a PersistentVolumeClaim that all hosts can \
mount, or say LOCAL_WORKDIR=1 if nothing is to be kept"
fi
demand_workdir /mnt/share/ "use /mnt/share/..., which lies on CLAIM" "$@"

# yaml TEXT: it as a string in double quotes, which Kubernetes will not expand.
yaml() {
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  [[ $text != *[[:cntrl:]]* ]] ||
    fail "the flag $(printf %q "$1") holds a control character; leave it out"
  text=${text//'$('/'$$('}
  printf '"%s"' "$text"
}

ARGS='' SHARE='emptyDir: {}'
[[ ! $CLAIM ]] || SHARE="persistentVolumeClaim: {claimName: $CLAIM}"
[[ $SPOT != 1 ]] || spot='cloud.google.com/gke-spot: "true"'
indent=
for flag in "$@"; do
  item=$(yaml "$flag")
  ARGS="$ARGS$indent- $item"
  indent=$'\n                    '
done
SPOT=${spot:-}

# Puts every setting in its place; a line that becomes empty goes.
manifest() {
  local line name filled
  while IFS= read -r line; do
    filled=
    while [[ $line == *'${'* ]]; do
      name=${line#*'${'}
      name=${name%%'}'*}
      filled=$filled${line%%'${'*}${!name}
      line=${line#*'}'}
    done
    filled=$filled$line
    [[ $filled =~ ^\ *$ ]] || printf '%s\n' "$filled"
  done < <(grep -v "^#" "launch/gke/$kind.yaml")
}

set -- kubectl apply --filename=-
[[ ! $NAMESPACE ]] || set -- "$@" "--namespace=$NAMESPACE"
text=$(manifest)
if [[ $dry ]]; then
  printf '# %s\n%s\n' "$(run "$@")" "$text"
else
  run "$@" <<<"$text"
fi
