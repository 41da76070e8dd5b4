#!/usr/bin/env bash
# launch/daily.sh [--dry-run] cron|slurm|gke FLAG...
#
# Schedules a daily --mode=update of a run that was trained before:
#   launch/daily.sh cron --config=configs/custom_log.py --workdir=runs/own \
#     --config.data.events=logs --config.data.items=items.csv
#
# cron   adds a line to your crontab; Python and EXTRAS as in launch/setup.sh
# slurm  the same with scrontab; the job has GPUS GPUs
# gke    applies a CronJob from launch/gke/daily.yaml; the work folder must be on
#        CLAIM, which is mounted at /mnt/share
# --dry-run prints the schedule and installs nothing. The same NAME replaces an
# earlier schedule. A missed or stopped update is made up by the next one.
#
# Settings, all from the environment:
#   SCHEDULE     when to run, as in a crontab; default: 15 3 * * *
#   NAME         name of the schedule; default: pinrec-daily
#   LOG          cron, slurm: file of the output; default: NAME.log
#   GPUS         GPUs of the machine; default: 0
#   IMAGE        gke: image of launch/docker.sh in a registry; required
#   CLAIM        gke: name of the claim; required
#   NAMESPACE    gke: namespace of the cluster; default: kubectl's own
#   ACCELERATOR  gke: label of the node pool; default: none
#   RESTARTS     gke: restarts of one update; default: 6
#   GRACE        gke: seconds from SIGTERM to SIGKILL; default: 300
#
# To delete a schedule: crontab -e, scrontab -e, or
#   kubectl delete cronjob pinrec-daily

# The manifest uses settings by their names.
# shellcheck disable=SC2034

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

kind=${1:-}
case $kind in
  cron | slurm | gke) shift ;;
  *) fail "the scheduler is '$kind'; write cron, slurm or gke, then the flags" ;;
esac
(($#)) || fail "there are no flags; write at least --config=FILE"
SCHEDULE=${SCHEDULE:-15 3 * * *} NAME=${NAME:-pinrec-daily} GPUS=${GPUS:-0}
field='[-0-9A-Za-z*/,]+'
demand SCHEDULE "$field $field $field $field $field" \
  "write five fields, as '15 3 * * *'"
demand NAME '[a-z]([-a-z0-9]{0,30}[a-z0-9])?' \
  "use at most 32 of a-z, 0-9 and -; start with a letter"
demand GPUS '[0-9]+' "set it to the number of GPUs"

# The line of a crontab, and the comment that marks it. A line ends at "%".
entry() {
  local line
  line="cd $(printf %q "$PWD") && EXTRAS=$(printf %q "${EXTRAS:-}")"
  line="$line $(printf '%q ' bash launch/local.sh "$@" --mode=update)"
  line="$line>>$(printf %q "${LOG:-$NAME.log}") 2>&1"
  # The shell of cron may not know $'...', which has control characters.
  [[ $line != *"\$'"* ]] ||
    fail "a flag or the path $PWD has a control character; remove it"
  printf '# %s\n' "$NAME"
  [[ $kind == cron || $GPUS == 0 ]] || printf '#SCRON --gpus=%s\n' "$GPUS"
  printf '%s %s\n' "$SCHEDULE" "${line//'%'/\\%}"
}

# Prints a crontab without the entry of this name.
others() {
  local line skipped=''
  while IFS= read -r line; do
    if [[ $line == "# $NAME" ]]; then skipped=1; continue; fi
    [[ $skipped ]] || printf '%s\n' "$line"
    [[ $line == '#SCRON '* ]] || skipped=''
  done
}

if [[ $kind != gke ]]; then
  table='crontab'
  [[ $kind == cron ]] || table='scrontab'
  text=$(entry "$@")
  if [[ $dry ]]; then
    printf '# %s\n%s\n' "$(run "$table" -)" "$text"
    exit
  fi
  before=$("$table" -l 2>/dev/null | others || true)
  run "$table" - <<<"${before:+$before$'\n'}$text"
  exit
fi

IMAGE=${IMAGE:-} CLAIM=${CLAIM:-} NAMESPACE=${NAMESPACE:-}
ACCELERATOR=${ACCELERATOR:-} RESTARTS=${RESTARTS:-6} GRACE=${GRACE:-300}
label='[a-z0-9]([-a-z0-9.]*[a-z0-9])?'
demand IMAGE '[^[:space:]"]+' "set it to an image that the cluster can pull"
demand CLAIM "$label" "name the PersistentVolumeClaim of the work folder"
demand NAMESPACE "($label)?" "use a namespace of the cluster"
demand ACCELERATOR "($label)?" "use the accelerator label of the node pool"
demand RESTARTS '[0-9]+' "set it to a whole number"
demand GRACE '[1-9][0-9]*' "set it to a number of seconds"
demand_workdir /mnt/share/ "use /mnt/share/..., which is on CLAIM" "$@"
# shellcheck source=launch/manifest.sh
source launch/manifest.sh
ARGS=$(arguments 16 "$@" --mode=update)
SELECTOR='' LIMITS=''
[[ ! $ACCELERATOR ]] ||
  SELECTOR="nodeSelector: {cloud.google.com/gke-accelerator: $ACCELERATOR}"
[[ $GPUS == 0 ]] || LIMITS="resources: {limits: {nvidia.com/gpu: $GPUS}}"

set -- kubectl apply --filename=-
[[ ! $NAMESPACE ]] || set -- "$@" "--namespace=$NAMESPACE"
text=$(manifest launch/gke/daily.yaml)
if [[ $dry ]]; then
  printf '# %s\n%s\n' "$(run "$@")" "$text"
else
  run "$@" <<<"$text"
fi
