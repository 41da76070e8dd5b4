#!/usr/bin/env bash
# launch/tpu_host.sh [--dry-run] FLAG...
#
# Starts a run on one host of a Cloud TPU slice. launch/tpu_vm.sh calls it on
# all hosts at once. It mounts SHARE at /mnt/share, makes the environment, and
# starts pinrec_jax.main as the systemd service `pinrec`. The service does
# not end with the connection. It gets SIGTERM when the machine is shut down.
#
# Settings, all from the environment:
#   SHARE   HOST:/FOLDER of an NFS server such as Filestore, gs://BUCKET, or
#           empty
#   VENV    folder of the virtual environment; default: ~/.venv-pinrec
#   PYTHON  see launch/setup.sh; if no Python is supported, uv installs 3.12

VENV=${VENV:-$HOME/.venv-pinrec}
EXTRAS=${EXTRAS:-bucket,tpu}
# shellcheck source=launch/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

(($#)) || fail "there are no flags; write at least --config=FILE"
SHARE=${SHARE:-}
MOUNT=/mnt/share
UV=0.9.5

# metadata NAME: prints an attribute of this host from the metadata server.
metadata() {
  curl --silent --show-error --fail --header 'Metadata-Flavor: Google' \
    "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1"
}

worker=$(metadata agent-worker-number) ||
  fail "the metadata server does not answer; run this on a Cloud TPU VM"
hosts=$(metadata worker-network-endpoints)
# Each entry is NAME or NAME:NUMBER:ADDRESS. The first is worker 0.
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
  # Checkpoints are complete folders that are renamed. Without a metadata cache,
  # a host sees at once what another host wrote.
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
  echo "# then install with $PYTHON, like launch/local.sh"
else
  # shellcheck disable=SC2119  # Its arguments are extras; here there are none.
  prepare
fi

# systemd expands $NAME in a command, and turns $$ into $.
run sudo systemd-run --unit=pinrec --collect --uid="$(id -un)" \
  --working-directory="$PWD" --property=KillMode=mixed \
  --property=TimeoutStopSec=300 --property=SuccessExitStatus=75 \
  --property=LimitMEMLOCK=infinity --setenv=HOME="$HOME" \
  --setenv=PYTHONUNBUFFERED=1 \
  --setenv=JAX_COORDINATOR_ADDRESS="${hosts[0]##*:}:8482" \
  --setenv=JAX_NUM_PROCESSES="${#hosts[@]}" \
  --setenv=JAX_PROCESS_ID="$worker" \
  "$VENV/bin/python" -m pinrec_jax.main "${@//\$/\$\$}"
