#!/usr/bin/env bash
# launch/peers.sh [--dry-run]
#
# Makes the environments of the libraries that benchmarks/ compares with, each
# apart, since they pin other versions: RecTools 0.19.0 with PyTorch 2.13.0,
# RePlay 0.22.0, and faiss 1.15.1 with usearch 2.26.6: some gigabytes, some
# minutes. PEERS is their folder, ~/.cache/pinrec_jax/peers by default. PYTHON:
# see launch/setup.sh.

# shellcheck source=launch/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

peers=${PEERS:-$HOME/.cache/pinrec_jax/peers}
choose_python

# make NAME PACKAGE...: an environment of that name holds the packages.
make() {
  # shellcheck disable=SC2154  # choose_python sets it
  run "$python" -m venv "$peers/$1"
  run "$peers/$1/bin/python" -m pip --disable-pip-version-check install \
    --quiet "${@:2}"
}

make rectools torch==2.13.0 "rectools[torch]==0.19.0" "pyarrow<18"
make replay torch==2.13.0 "replay-rec[torch]==0.22.0"
make ann faiss-cpu==1.15.1 usearch==2.26.6
