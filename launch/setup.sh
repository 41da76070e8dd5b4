# shellcheck shell=bash
# Sourced by the scripts that need the environment, made and filled only once.
#
# It defines `prepare` beside all that launch/shell.sh does. Settings, all from
# the environment:
#   PYTHON  the interpreter to build on; by default the environment's own,
#           else the first fit one of python3, python3.13, 3.12 and 3.11
#   VENV    where the environment lives; by default .venv
#   EXTRAS  optional dependencies to add, by comma or space: EXTRAS=cuda12

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

VENV=${VENV:-.venv}
EXTRAS=${EXTRAS:-}
LOCK=launch/constraints.txt
STAMP=$VENV/pinrec-installed

# Prints an interpreter's version as 3.12; nothing where it does not run.
version() {
  "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null ||
    true
}

# Sets `python` and its version, `found`.
choose_python() {
  local others=
  if [[ ${PYTHON:-} ]]; then
    set -- "$PYTHON"
  else
    set -- "$VENV/bin/python" python3 python3.13 python3.12 python3.11
  fi
  for python in "$@"; do
    found=$(version "$python")
    case $found in
      3.11 | 3.12 | 3.13) return ;;
      ?*) others="$others, $python is $found" ;;
    esac
  done
  [[ $others ]] || others=", ${PYTHON:-python3} does not run"
  fail "needs Python 3.11, 3.12 or 3.13$others;" \
    "install one and name it: PYTHON=python3.12 $0"
}

# Makes the environment unless a whole one of this Python is there.
ensure_venv() {
  if [[ $(version "$VENV/bin/python") == "$found" ]] &&
    "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    return
  fi
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python lacks the venv or ensurepip module;" \
      "on Debian and Ubuntu: apt-get install python$found-venv"
  if [[ -e $VENV/pyvenv.cfg ]]; then
    run "$python" -m venv --clear "$VENV"
  else  # a folder that is no environment is never emptied
    run "$python" -m venv "$VENV"
  fi
}

# prepare [EXTRA...]: the package and these extras are in the environment.
#
# The stamp holds a checksum of all that decides what is installed, then what
# is. It is gone while pip works: a run after an interruption installs again.
prepare() {
  local extras sum stamped='' have='' part missing=''
  # shellcheck disable=SC2086  # EXTRAS is a list of words
  extras=$(printf '%s\n' "$@" ${EXTRAS//,/ } | sort -u | paste -s -d ' ' -)
  choose_python
  # The root counts because an editable install points at it.
  sum=$({ echo "$found $PWD"; cat setup.cfg "$LOCK"; } | cksum)
  if [[ $(version "$VENV/bin/python") == "$found" && -f $STAMP ]]; then
    { read -r stamped && read -r have; } <"$STAMP" || true
  fi
  [[ $stamped == "$sum" ]] || have=
  for part in package $extras; do
    [[ " $have " == *" $part "* ]] || missing="$missing $part"
  done
  [[ $missing ]] || return 0
  ensure_venv
  if [[ ! $dry ]]; then
    rm -f "$STAMP"
    echo "Installing into $VENV; the first time: 1.2 GB, some minutes." >&2
  fi
  run "$VENV/bin/python" -m pip --disable-pip-version-check install --quiet \
    -c "$LOCK" -e ".${extras:+[${extras// /,}]}"
  [[ $dry ]] || printf '%s\n' "$sum" "$have$missing" >"$STAMP"
}
