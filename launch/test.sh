#!/usr/bin/env bash
# launch/test.sh [--dry-run] [PYTEST ARGUMENT...]
#
# Runs the tests, for example
#   launch/test.sh -k past tests/model
#
# WORKERS is how many processes share them, 2 by default; 0 runs them in one,
# as a debugger needs. A file's tests stay together, so that they compile once.
# The environment is that of launch/local.sh; see launch/setup.sh.

# shellcheck source=launch/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

prepare test
run exec "$VENV/bin/python" -m pytest \
  --numprocesses "${WORKERS:-2}" --dist loadfile "$@"
