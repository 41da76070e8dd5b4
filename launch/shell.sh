# shellcheck shell=bash
# Sourced by every script here, before anything else.
#
# It takes --dry-run out of the caller's arguments, goes to the repository root
# and defines `fail`, `run`, `demand` and `demand_workdir`.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dry=
for arg in "$@"; do
  shift
  if [[ $arg == --dry-run ]]; then dry=1; else set -- "$@" "$arg"; fi
done

fail() {
  printf '%s: %s\n' "$0" "$*" >&2
  exit 1
}

# Prints a command on stderr and runs it; in a dry run, on stdout and no more.
run() {
  local line
  line=$(printf '%q ' "$@")
  if [[ $dry ]]; then
    printf '%s\n' "${line% }"
  else
    printf '+ %s\n' "${line% }" >&2
    "$@"
  fi
}

# demand SETTING PATTERN REMEDY: the setting's whole value is of that form.
demand() {
  local form="^($2)\$"
  [[ ${!1} =~ $form ]] || fail "$1 is '${!1}'; $3"
}

# demand_workdir FOLDER REMEDY FLAG...: the flags put the work folder there.
#
# An empty FOLDER allows any, and LOCAL_WORKDIR=1 says that none is meant to be
# shared. The program reads and writes files, so a bucket has to be mounted.
demand_workdir() {
  local folder=$1 remedy=$2 workdir=''
  shift 2
  while (($#)); do
    case $1 in
      --workdir=* | -workdir=*) workdir=${1#*=} ;;
      --workdir | -workdir) workdir=${2:-} ;;
    esac
    shift
  done
  [[ $workdir != *://* ]] ||
    fail "--workdir is '$workdir'; give a folder: $remedy"
  [[ ${LOCAL_WORKDIR:-} == 1 || $workdir == "$folder"* ]] ||
    fail "--workdir is '$workdir', which the hosts would not share;" \
      "$remedy, or say LOCAL_WORKDIR=1 if nothing is to be kept"
}
