#!/usr/bin/env bash
# launch/tpu_host.sh [--dry-run] FLAG...
#
# One host's part of a run on a Cloud TPU slice, where launch/tpu_vm.sh calls it
# on all of them at once. It mounts SHARE at /mnt/share, makes the environment
# and starts pinrec_jax.main as the systemd service `pinrec`, which outlives the
# connection and gets SIGTERM when the machine is shut down.
#
# SHARE is HOST:/FOLDER of an NFS server such as Filestore, gs://BUCKET or
# nothing. VENV is ~/.venv-pinrec by default; for PYTHON see launch/setup.sh.
# Where no Python is fit, uv fetches 3.12.

VENV=${VENV:-$HOME/.venv-pinrec}
EXTRAS=${EXTRAS:-tpu}
# shellcheck source=launch/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

(($#)) || fail "no flags are given; give at least --config=FILE"
SHARE=${SHARE:-}
MOUNT=/mnt/share
UV=0.9.5

# What the metadata server knows of this host under a name.
metadata() {
  curl --silent --show-error --fail --header 'Metadata-Flavor: Google' \
    "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1"
}

worker=$(metadata agent-worker-number) ||
  fail "the metadata server does not answer; run this on a Cloud TPU VM"
hosts=$(metadata worker-network-endpoints)
# Each is a name, or NAME:NUMBER:ADDRESS; the first is that of worker 0.
IFS=, read -ra hosts <<<"$hosts"

mount_bucket() {
  local list=/etc/apt/sources.list.d/gcsfuse.list
  local key=/usr/share/keyrings/cloud.google.asc
  local site=https://packages.cloud.google.com/apt
  if ! command -v gcsfuse >/dev/null; then
    run sudo curl --silent --show-error --fail --output "$key" \
      "$site/doc/apt-key.gpg"
    run sudo bash -c "echo 'deb [signed-by=$key] $site \
gcsfuse-$(lsb_release --codename --short) main' >$list"
    run sudo apt-get update --quiet
    run sudo apt-get install --quiet --yes gcsfuse
  fi
  run sudo chown "$(id -un)" "$MOUNT"
  # A checkpoint is a folder that gets its name once it is whole, and hosts see
  # at once what another wrote.
  run gcsfuse --implicit-dirs --rename-dir-limit=100000 \
    --metadata-cache-ttl-secs=0 "${SHARE#gs://}" "$MOUNT"
}

mount_nfs() {
  if ! command -v mount.nfs >/dev/null; then
    run sudo apt-get update --quiet
    run sudo apt-get install --quiet --yes nfs-common
  fi
  run sudo mount --types nfs "$SHARE" "$MOUNT"
}

if [[ $SHARE ]] && ! mountpoint --quiet "$MOUNT"; then
  run sudo mkdir -p "$MOUNT"
  case $SHARE in gs://*) mount_bucket ;; *) mount_nfs ;; esac
fi

if [[ ! ${PYTHON:-} ]] && ! (choose_python) 2>/dev/null; then
  run bash -o pipefail -c \
    "curl -LsSf https://astral.sh/uv/$UV/install.sh | sh"
  run "$HOME/.local/bin/uv" python install --quiet 3.12
  PYTHON=$HOME/.local/bin/python3.12
fi
if [[ $dry && ! -x ${PYTHON:-/bin/sh} ]]; then
  echo "# then, with $PYTHON, what launch/local.sh installs"
else
  # shellcheck disable=SC2119  # its arguments are extras, none here
  prepare
fi

# systemd replaces $NAME in a command, and $$ by $.
run sudo systemd-run --unit=pinrec --collect --uid="$(id -un)" \
  --working-directory="$PWD" --property=KillMode=mixed \
  --property=TimeoutStopSec=300 --property=SuccessExitStatus=75 \
  --property=LimitMEMLOCK=infinity --setenv=HOME="$HOME" \
  --setenv=PYTHONUNBUFFERED=1 \
  --setenv=JAX_COORDINATOR_ADDRESS="${hosts[0]##*:}:8482" \
  --setenv=JAX_NUM_PROCESSES="${#hosts[@]}" \
  --setenv=JAX_PROCESS_ID="$worker" \
  "$VENV/bin/python" -m pinrec_jax.main "${@//\$/\$\$}"
