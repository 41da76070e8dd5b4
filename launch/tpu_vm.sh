#!/usr/bin/env bash
# launch/tpu_vm.sh [--dry-run] COMMAND [FLAG...]
#
# Runs pinrec_jax.main on a Cloud TPU slice, with one process per host. For
# example:
#   export TYPE=v6e-16 SHARE=10.0.0.2:/runs
#   launch/tpu_vm.sh create
#   launch/tpu_vm.sh run --config=configs/custom_log.py \
#     --workdir=/mnt/share/custom
#   launch/tpu_vm.sh logs
#   launch/tpu_vm.sh delete
#
#   create        creates the slice; with QUEUED=1, waits until it is active
#   run FLAG...   copies the commit HEAD to every host, installs it, starts the
#                 program with these flags on all hosts, and returns
#   logs          shows the output of one host, until Ctrl-C
#   stop          sends SIGTERM; the run saves a checkpoint, and the same `run`
#                 command continues it
#   fetch FOLDER  copies a folder of one host into runs/ here; a relative path
#                 starts at the host's checkout
#   delete        deletes the slice and its disks
#
# A dry run also says, on stderr, what launch/tpu_compiled.txt has about TYPE:
# programs that were compiled for this topology, and what they need of a chip.
#
# Settings, all from the environment. Use the same for every command.
#   NAME           name of the slice; default: pinrec
#   TYPE           accelerator type; default: v6e-8. Up to -8 has one host.
#   ZONE           default: us-east5-a
#   PROJECT        default: gcloud's own
#   VERSION        version of the runtime; default: the one for TYPE
#   SPOT           1 uses spot capacity, which may be taken away
#   QUEUED         1 uses a queued resource
#   SHARE          mounted at /mnt/share on every host: HOST:/FOLDER of an NFS
#                  server such as Filestore, or gs://BUCKET, preferably with a
#                  hierarchical namespace. Several hosts need it for their work
#                  folder. With one host, it keeps files when the slice is gone.
#   WORKER         host of `logs` and `fetch`; default: 0
#   LOCAL_WORKDIR  1 allows a work folder per host, for runs that keep nothing

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

command=${1:-}
(($#)) && shift
NAME=${NAME:-pinrec} TYPE=${TYPE:-v6e-8} ZONE=${ZONE:-us-east5-a}
PROJECT=${PROJECT:-} SPOT=${SPOT:-} QUEUED=${QUEUED:-} SHARE=${SHARE:-}
WORKER=${WORKER:-0} POLL=${POLL:-60}

demand NAME '[a-z]([-a-z0-9]{0,60}[a-z0-9])?' \
  "use at most 62 of a-z, 0-9 and -; start with a letter"
demand TYPE '(v2|v3|v4|v5litepod|v5p|v6e)-[1-9][0-9]*' \
  "choose from: gcloud compute tpus accelerator-types list"
demand ZONE '[a-z]+-[a-z]+[0-9]+-[a-z]' "use a zone that has $TYPE"
demand PROJECT '[-a-z0-9:.]*' "use the ID of a project"
demand SPOT '[01]?' "set it to 1 for spot capacity, or leave it empty"
demand QUEUED '[01]?' "set it to 1 to queue, or leave it empty"
demand SHARE '(gs://[a-z0-9][-_.a-z0-9]*|[^:/[:space:]]+:/[^[:space:]]*)?' \
  "write it as HOST:/FOLDER or gs://BUCKET"
demand WORKER '[0-9]+' "use the number of a host, from 0"
demand POLL '[0-9]+' "set it to a number of seconds"
case $TYPE in
  v6e-*) VERSION=${VERSION:-v2-alpha-tpuv6e} ;;
  v5p-*) VERSION=${VERSION:-v2-alpha-tpuv5} ;;
  v5litepod-*) VERSION=${VERSION:-v2-alpha-tpuv5-lite} ;;
  *) VERSION=${VERSION:-tpu-ubuntu2204-base} ;;
esac

# tpus GROUP VERB ARGUMENT...: calls gcloud for this project and zone.
tpus() {
  run gcloud compute tpus "$@" "--zone=$ZONE" \
    ${PROJECT:+"--project=$PROJECT"}
}

# on WORKER LINE: runs a line of shell on one host, or on all.
on() {
  tpus tpu-vm ssh "$NAME" "--worker=$1" "--command=$2"
}

create() {
  local state
  if [[ $QUEUED != 1 ]]; then
    tpus tpu-vm create "$NAME" "--accelerator-type=$TYPE" \
      "--version=$VERSION" ${spot:+"$spot"}
    return
  fi
  tpus queued-resources create "$NAME" "--node-id=$NAME" \
    "--accelerator-type=$TYPE" "--runtime-version=$VERSION" ${spot:+"$spot"}
  set -- queued-resources describe "$NAME" '--format=value(state.state)'
  if [[ $dry ]]; then  # A real run repeats this until the state is ACTIVE.
    tpus "$@"
    return
  fi
  until state=$(tpus "$@") && [[ $state == ACTIVE ]]; do
    case $state in
      FAILED | SUSPEND* | DELETING)
        fail "the request $NAME is $state; run launch/tpu_vm.sh delete, then" \
          "create again, maybe with another ZONE or SPOT=1"
        ;;
    esac
    sleep "$POLL"
  done
}

start() {
  local archive line folder=''
  (($#)) || fail "there are no flags; write at least --config=FILE"
  HOSTS=1
  if ((${TYPE##*-} > 8)); then folder=/ HOSTS=several; fi
  if [[ $folder && $SHARE ]]; then folder=/mnt/share/; fi
  demand_workdir "$folder" "set SHARE and use /mnt/share/..." "$@"
  archive=${TMPDIR:-/tmp}/$NAME-pinrec_jax.tar.gz
  run git archive --format=tar.gz "--output=$archive" HEAD
  # Files of a running program must not change. This fails if there is one.
  on all '! systemctl is-active pinrec'
  tpus tpu-vm scp "$archive" "$NAME:pinrec_jax.tar.gz" --worker=all
  on all 'mkdir -p pinrec_jax && tar -xzf pinrec_jax.tar.gz -C pinrec_jax'
  line=$(printf ' %q' "SHARE=$SHARE" bash pinrec_jax/launch/tpu_host.sh "$@")
  on all "env$line"
}

if [[ $dry ]]; then
  grep "^$TYPE " launch/tpu_compiled.txt >&2 ||
    printf '%s: nothing was compiled for %s\n' "$0" "$TYPE" >&2
fi
spot=
[[ $SPOT != 1 ]] || spot=--spot
case $command in
  create) create ;;
  run) start "$@" ;;
  logs)
    on "$WORKER" 'sudo journalctl --unit=pinrec --output=cat -n all --follow'
    ;;
  stop) on all 'sudo systemctl stop pinrec' ;;
  fetch)
    [[ ${1:-} ]] || fail "there is no folder; write that of --workdir"
    folder=$1
    [[ $folder == /* ]] || folder=pinrec_jax/$folder
    run mkdir -p runs
    tpus tpu-vm scp --recurse "$NAME:$folder" runs/ "--worker=$WORKER"
    ;;
  delete)
    if [[ $QUEUED == 1 ]]; then
      tpus queued-resources delete "$NAME" --force --quiet
    else
      tpus tpu-vm delete "$NAME" --quiet
    fi
    ;;
  *)
    fail "the command is '$command'; use create, run, logs, stop, fetch or" \
      "delete"
    ;;
esac
