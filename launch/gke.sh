#!/usr/bin/env bash
# launch/gke.sh [--dry-run] tpu|gpu FLAG...
#
# Runs pinrec_jax.main on a GKE cluster that has JobSet (2025 or later):
#   IMAGE=... CLAIM=runs TOPOLOGY=4x4 launch/gke.sh tpu \
#     --config=configs/custom_log.py --workdir=/mnt/share/custom
#
# It fills in launch/gke/tpu.yaml or launch/gke/gpu.yaml and applies the result.
# --dry-run prints the result instead. Every host runs one process. All hosts
# read and write the work folder. So the folder must be on CLAIM, a
# PersistentVolumeClaim with ReadWriteMany, which is mounted at /mnt/share. A
# run that loses a host continues from its last checkpoint. After preemptions
# this happens any number of times, after errors RESTARTS times.
#
# Settings, all from the environment:
#   IMAGE          image of launch/docker.sh in a registry; required
#   CLAIM          name of the claim; required, unless LOCAL_WORKDIR is 1
#   LOCAL_WORKDIR  1 runs without a claim; the work folder is lost at the end,
#                  unless it is in a bucket: --workdir=gs://BUCKET/FOLDER, which
#                  needs HOSTS=1
#   NAME           name of the JobSet; default: pinrec
#   NAMESPACE      namespace of the cluster; default: kubectl's own
#   ACCELERATOR    label of the node pool; default: tpu-v6e-slice for tpu,
#                  nvidia-h100-80gb for gpu
#   TOPOLOGY       tpu: chips of the slice; default: 2x4
#   CHIPS          chips of one host; default: 4 for tpu, 8 for gpu
#   HOSTS          gpu: number of hosts; default: 1
#   SPOT           1 uses spot nodes
#   RESTARTS       restarts after errors; default: 3
#   GRACE          seconds from SIGTERM to SIGKILL; default: 300
#
# To see the log, and to delete the run:
#   kubectl logs --follow --selector=jobset.sigs.k8s.io/jobset-name=pinrec
#   kubectl delete jobset pinrec

# The manifests use settings by their names.
# shellcheck disable=SC2034

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
  *) fail "the kind of node is '$kind'; write tpu or gpu, then the flags" ;;
esac
shift
(($#)) || fail "there are no flags; write at least --config=FILE"
IMAGE=${IMAGE:-} CLAIM=${CLAIM:-} SPOT=${SPOT:-} NAMESPACE=${NAMESPACE:-}
NAME=${NAME:-pinrec} RESTARTS=${RESTARTS:-3} GRACE=${GRACE:-300}

count='[1-9][0-9]*'
label='[a-z0-9]([-a-z0-9.]*[a-z0-9])?'
demand IMAGE '[^[:space:]"]+' "set it to an image that the cluster can pull"
demand NAME '[a-z]([-a-z0-9]{0,30}[a-z0-9])?' \
  "use at most 32 of a-z, 0-9 and -; start with a letter"
demand NAMESPACE "($label)?" "use a namespace of the cluster"
demand ACCELERATOR "$label" "use the accelerator label of the node pool"
demand CHIPS "$count" "set it to the number of chips of a host"
demand SPOT '[01]?' "set it to 1 for spot nodes, or leave it empty"
demand RESTARTS '[0-9]+' "set it to a whole number"
demand GRACE "$count" "set it to a number of seconds"
if [[ $kind == tpu ]]; then
  demand TOPOLOGY "$count(x$count){1,2}" "write it as 2x4 or 2x2x2"
  chips=$((${TOPOLOGY//x/*}))
  ((chips % CHIPS == 0)) ||
    fail "CHIPS is '$CHIPS', which does not divide the $chips chips of" \
      "TOPOLOGY $TOPOLOGY; set it to the number of chips of a host"
  HOSTS=$((chips / CHIPS))
fi
demand HOSTS "$count" "set it to the number of nodes"
if [[ ${LOCAL_WORKDIR:-} == 1 ]]; then
  demand CLAIM "($label)?" "name a PersistentVolumeClaim, or leave it empty"
else
  demand CLAIM "$label" "name a PersistentVolumeClaim that all hosts can \
mount, or set LOCAL_WORKDIR=1 to keep nothing"
fi
demand_workdir /mnt/share/ "use /mnt/share/..., which is on CLAIM" "$@"

# shellcheck source=launch/manifest.sh
source launch/manifest.sh
SHARE='emptyDir: {}'
[[ ! $CLAIM ]] || SHARE="persistentVolumeClaim: {claimName: $CLAIM}"
[[ $SPOT != 1 ]] || spot='cloud.google.com/gke-spot: "true"'
SPOT=${spot:-}
ARGS=$(arguments 20 "$@")

set -- kubectl apply --filename=-
[[ ! $NAMESPACE ]] || set -- "$@" "--namespace=$NAMESPACE"
text=$(manifest "launch/gke/$kind.yaml")
if [[ $dry ]]; then
  printf '# %s\n%s\n' "$(run "$@")" "$text"
else
  run "$@" <<<"$text"
fi
