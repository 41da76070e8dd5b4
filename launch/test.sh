#!/usr/bin/env bash
# launch/test.sh [--dry-run] [PYTEST ARGUMENT...]
#
# Runs the tests. For example:
#   launch/test.sh -k past tests/model
#
# WORKERS is the number of processes; default: 2. WORKERS=0 uses one process, as
# a debugger needs. Tests of one file run in one process, so that they compile
# their programs once. launch/setup.sh explains PYTHON, VENV and EXTRAS.

# shellcheck source=launch/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

prepare serve test
run exec "$VENV/bin/python" -m pytest \
  --numprocesses "${WORKERS:-2}" --dist loadfile "$@"
