#!/usr/bin/env bash
# launch/docker.sh [--dry-run] [ARGUMENT OF DOCKER BUILD...]
#
# Builds an image. A container passes its arguments to pinrec_jax.main, which
# runs without root rights. For example:
#   EXTRAS=tpu IMAGE=europe-docker.pkg.dev/PROJECT/REPOSITORY/pinrec_jax:tpu \
#     PUSH=1 launch/docker.sh
#
# Settings, all from the environment:
#   EXTRAS  cpu (the default), cuda12, cuda13 or tpu
#   IMAGE   name of the image; default: pinrec_jax:EXTRAS
#   PUSH    1 pushes the image to the registry in its name

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

EXTRAS=${EXTRAS:-cpu}
IMAGE=${IMAGE:-pinrec_jax:$EXTRAS}
PUSH=${PUSH:-}
demand EXTRAS 'cpu|cuda12|cuda13|tpu' "choose cpu, cuda12, cuda13 or tpu"
demand IMAGE '[a-z0-9][-a-zA-Z0-9._/:]*' "write it as REGISTRY/NAME:TAG"
demand PUSH '[01]?' "set it to 1 to push, or leave it empty"
[[ $PUSH != 1 || $IMAGE == */* ]] ||
  fail "IMAGE is '$IMAGE', which names no registry; to push it, write it as" \
    "REGISTRY/NAME:TAG"

run docker build --file=launch/docker/Dockerfile "--build-arg=EXTRAS=$EXTRAS" \
  "--tag=$IMAGE" "$@" .
[[ $PUSH != 1 ]] || run docker push "$IMAGE"
