# shellcheck shell=bash
# Every script in this folder sources this file first.
#
# It removes --dry-run from the arguments and sets `dry`, changes to the
# repository root, and defines `fail`, `run`, `demand` and `demand_workdir`.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dry=
for arg in "$@"; do
  shift
  if [[ $arg == --dry-run ]]; then dry=1; else set -- "$@" "$arg"; fi
done

# fail TEXT...: prints an error and exits with status 1.
fail() {
  printf '%s: %s\n' "$0" "$*" >&2
  exit 1
}

# run COMMAND...: prints the command to stderr and runs it. A dry run prints it
# to stdout and does not run it.
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

# demand SETTING PATTERN REMEDY: fails unless the value matches the pattern.
demand() {
  local form="^($2)\$"
  [[ ${!1} =~ $form ]] || fail "$1 is '${!1}'; $3"
}

# demand_workdir FOLDER REMEDY FLAG...: fails unless --workdir is in FOLDER.
#
# An empty FOLDER and LOCAL_WORKDIR=1 allow every folder. The address of a bucket
# is allowed if HOSTS is 1, because each process would have a copy of its own.
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
  if [[ $workdir == *://* ]]; then
    [[ ${HOSTS:-1} == 1 ]] ||
      fail "--workdir is '$workdir', which is an address, and there are several" \
        "processes; $remedy"
    return
  fi
  [[ ${LOCAL_WORKDIR:-} == 1 || $workdir == "$folder"* ]] ||
    fail "--workdir is '$workdir', which the hosts do not share;" \
      "$remedy, or set LOCAL_WORKDIR=1 to keep nothing"
}
