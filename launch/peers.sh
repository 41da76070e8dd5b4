#!/usr/bin/env bash
# launch/peers.sh [--dry-run]
#
# Makes the environments of the libraries that benchmarks/ compares with, each
# apart, since they pin other versions: RecTools 0.19.0 for benchmarks/sasrec.py.
# PEERS is their folder, ~/.cache/pinrec_jax/peers by default. PYTHON: see
# launch/setup.sh.

# shellcheck source=launch/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

peers=${PEERS:-$HOME/.cache/pinrec_jax/peers}
choose_python
# shellcheck disable=SC2154  # choose_python sets it
run "$python" -m venv "$peers/rectools"
run "$peers/rectools/bin/python" -m pip --disable-pip-version-check install \
  --quiet torch==2.13.0 "rectools[torch]==0.19.0" "pyarrow<18"
