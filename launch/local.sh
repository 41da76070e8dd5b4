#!/usr/bin/env bash
# launch/local.sh [--dry-run] [FLAG...]
#
# Runs pinrec_jax.main on this machine. For example:
#   launch/local.sh --config=configs/demo.py --workdir=runs/demo
#
# The first run makes a virtual environment and installs the package. Later runs
# start at once, until setup.cfg or launch/constraints.txt changes. --dry-run
# prints the commands and runs none. Relative paths start at the repository
# root. launch/setup.sh explains PYTHON, VENV and EXTRAS.

# shellcheck source=launch/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

# The server's packages are small, so every mode works after one installation.
prepare serve
# A training step allocates and frees a gigabyte. With large pages, it is up to
# a third faster.
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}
run exec "$VENV/bin/python" -m pinrec_jax.main "$@"
