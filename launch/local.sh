#!/usr/bin/env bash
# launch/local.sh [--dry-run] [FLAG...]
#
# Runs pinrec_jax.main on this machine with the flags given, for example
#   launch/local.sh --config=configs/demo.py --workdir=runs/demo
#
# The first run makes the environment and installs into it; later runs start
# at once, until setup.cfg or the lock changes. --dry-run prints the commands
# and runs none. Relative paths count from the repository root, wherever this
# is called from. PYTHON, VENV and EXTRAS: see launch/setup.sh.

# shellcheck source=launch/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

# shellcheck disable=SC2119  # its arguments are extras, none here
prepare
# A step takes and returns a gigabyte; in large pages it is up to a third faster.
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}
run exec "$VENV/bin/python" -m pinrec_jax.main "$@"
