#!/usr/bin/env bash
# launch/peers.sh [--dry-run]
#
# Makes the environments of the libraries that benchmarks/ compares with:
# RecTools with PyTorch, RePlay with PyTorch, and faiss with usearch. Each needs
# an environment of its own, because they need different versions of other
# packages. This takes some minutes and some gigabytes.
#
# PEERS is the folder of the environments; default: ~/.cache/pinrec_jax/peers.
# launch/setup.sh explains PYTHON.

# shellcheck source=launch/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

peers=${PEERS:-$HOME/.cache/pinrec_jax/peers}
choose_python

# make NAME PACKAGE...: makes an environment with these packages.
make() {
  # shellcheck disable=SC2154  # choose_python sets it.
  run "$python" -m venv "$peers/$1"
  run "$peers/$1/bin/python" -m pip --disable-pip-version-check install \
    --quiet "${@:2}"
}

make rectools torch==2.13.0 "rectools[torch]==0.19.0" "pyarrow<18"
make replay torch==2.13.0 "replay-rec[torch]==0.22.0"
make ann faiss-cpu==1.15.1 usearch==2.26.6
