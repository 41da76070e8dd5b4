#!/usr/bin/env bash
# launch/tpu_vm.sh [--dry-run] COMMAND [FLAG...]
#
# Runs pinrec_jax.main on a Cloud TPU slice, one process a host, for example
#   export TYPE=v6e-16 SHARE=10.0.0.2:/runs
#   launch/tpu_vm.sh create
#   launch/tpu_vm.sh run --config=configs/custom_log.py --workdir=/mnt/share/own
#   launch/tpu_vm.sh logs
#   launch/tpu_vm.sh delete
#
#   create        makes the slice; with QUEUED=1 waits until it is granted
#   run FLAG...   copies the commit HEAD to every host, installs it, starts the
#                 program with these flags on all of them and returns
#   logs          shows what it prints on one host, until Ctrl-C
#   stop          SIGTERM: it saves a checkpoint; the same `run` goes on
#   fetch FOLDER  copies FOLDER of one host's checkout here, into runs/
#   delete        deletes the slice, and what lies on its disks
#
# Settings, all from the environment and alike for every command:
#   NAME     of the slice, pinrec
#   TYPE     its type, v6e-8; up to -8 it is one host
#   ZONE     us-east5-a
#   PROJECT  gcloud's own by default
#   VERSION  of the runtime; by default the one for TYPE
#   SPOT     1 takes capacity that may be taken away again
#   QUEUED   1 asks by a queued resource
#   SHARE    what to mount at /mnt/share on every host: HOST:/FOLDER of an NFS
#            server such as Filestore, or gs://BUCKET, best with a hierarchical
#            namespace. Several hosts need one work folder, and on one host it
#            is what outlives the slice.
#   WORKER   the host for logs and fetch, 0
# LOCAL_WORKDIR=1 lets several hosts have work folders of their own, for runs
# that keep nothing.

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

command=${1:-}
(($#)) && shift
NAME=${NAME:-pinrec} TYPE=${TYPE:-v6e-8} ZONE=${ZONE:-us-east5-a}
PROJECT=${PROJECT:-} SPOT=${SPOT:-} QUEUED=${QUEUED:-} SHARE=${SHARE:-}
WORKER=${WORKER:-0} POLL=${POLL:-60}

demand NAME '[a-z]([-a-z0-9]{0,60}[a-z0-9])?' \
  "use up to 62 of a-z, 0-9 and -, first a letter"
demand TYPE '(v2|v3|v4|v5litepod|v5p|v6e)-[1-9][0-9]*' \
  "name one of: gcloud compute tpus accelerator-types list"
demand ZONE '[a-z]+-[a-z]+[0-9]+-[a-z]' "name one that has $TYPE"
demand PROJECT '[-a-z0-9:.]*' "name a project by its ID"
demand SPOT '[01]?' "set it to 1 for spot capacity, else leave it out"
demand QUEUED '[01]?' "set it to 1 to queue, else leave it out"
demand SHARE '(gs://[a-z0-9][-_.a-z0-9]*|[^:/[:space:]]+:/[^[:space:]]*)?' \
  "write it as HOST:/FOLDER or gs://BUCKET"
demand WORKER '[0-9]+' "give the number of a host, from 0"
demand POLL '[0-9]+' "set it to a number of seconds"
case $TYPE in
  v6e-*) VERSION=${VERSION:-v2-alpha-tpuv6e} ;;
  v5p-*) VERSION=${VERSION:-v2-alpha-tpuv5} ;;
  v5litepod-*) VERSION=${VERSION:-v2-alpha-tpuv5-lite} ;;
  *) VERSION=${VERSION:-tpu-ubuntu2204-base} ;;
esac

# tpus GROUP VERB ARGUMENT...: gcloud, on this project and zone.
tpus() {
  run gcloud compute tpus "$@" "--zone=$ZONE" \
    ${PROJECT:+"--project=$PROJECT"}
}

# on WORKER LINE: that host, or all of them, run a line of shell.
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
  if [[ $dry ]]; then  # asked until it says ACTIVE
    tpus "$@"
    return
  fi
  until state=$(tpus "$@") && [[ $state == ACTIVE ]]; do
    case $state in
      FAILED | SUSPEND* | DELETING)
        fail "the request $NAME is $state; launch/tpu_vm.sh delete, and" \
          "create again, perhaps with another ZONE or SPOT=1"
        ;;
    esac
    sleep "$POLL"
  done
}

start() {
  local archive line folder=''
  (($#)) || fail "no flags are given; give at least --config=FILE"
  if ((${TYPE##*-} > 8)); then folder=/; fi
  if [[ $folder && $SHARE ]]; then folder=/mnt/share/; fi
  demand_workdir "$folder" "set SHARE and use /mnt/share/..." "$@"
  archive=${TMPDIR:-/tmp}/$NAME-pinrec_jax.tar.gz
  run git archive --format=tar.gz "--output=$archive" HEAD
  # Not under the feet of a run that goes on: stop it first.
  on all '! systemctl is-active pinrec'
  tpus tpu-vm scp "$archive" "$NAME:pinrec_jax.tar.gz" --worker=all
  on all 'mkdir -p pinrec_jax && tar -xzf pinrec_jax.tar.gz -C pinrec_jax'
  line=$(printf ' %q' "SHARE=$SHARE" bash pinrec_jax/launch/tpu_host.sh "$@")
  on all "env$line"
}

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
    [[ ${1:-} ]] || fail "no folder is given; give the one of --workdir"
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
    fail "the command is '$command'; give create, run, logs, stop, fetch or" \
      "delete"
    ;;
esac
