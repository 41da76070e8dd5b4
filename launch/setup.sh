# shellcheck shell=bash
# The scripts that need the virtual environment source this file.
#
# It sources launch/shell.sh and defines `prepare`, which makes the virtual
# environment and installs the package once. Settings, all from the environment:
#   PYTHON  interpreter for the virtual environment; default: the environment's
#           own, else the first supported one of python3, python3.13, python3.12
#           and python3.11
#   VENV    folder of the virtual environment; default: .venv
#   EXTRAS  optional dependencies, separated by commas or spaces: EXTRAS=cuda12

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

VENV=${VENV:-.venv}
EXTRAS=${EXTRAS:-}
LOCK=launch/constraints.txt
STAMP=$VENV/pinrec-installed

# Prints an interpreter's version, such as 3.12, or nothing if it does not run.
version() {
  "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null ||
    true
}

# Sets `python` to a supported interpreter, and `found` to its version.
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
  fail "pinrec_jax needs Python 3.11, 3.12 or 3.13$others;" \
    "install one of these and name it: PYTHON=python3.12 $0"
}

# Makes the environment, unless there is a complete one with this Python.
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
  else  # --clear would empty a folder that is not an environment.
    run "$python" -m venv "$VENV"
  fi
}

# prepare [EXTRA...]: installs the package and these extras if need be.
#
# The first line of the stamp is a checksum of everything that the installation
# depends on. The second line lists the installed parts. The stamp is deleted
# before pip starts, so that an interrupted installation is repeated.
prepare() {
  local extras sum stamped='' have='' part missing=''
  # shellcheck disable=SC2086  # EXTRAS is a list of words.
  extras=$(printf '%s\n' "$@" ${EXTRAS//,/ } | sort -u | paste -s -d ' ' -)
  choose_python
  # An editable installation depends on the path of the repository.
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
    echo "Installing into $VENV. The first time takes minutes and 1.2 GB." >&2
  fi
  run "$VENV/bin/python" -m pip --disable-pip-version-check install --quiet \
    -c "$LOCK" -e ".${extras:+[${extras// /,}]}"
  [[ $dry ]] || printf '%s\n' "$sum" "$have$missing" >"$STAMP"
}
