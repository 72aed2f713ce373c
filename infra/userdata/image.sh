#!/bin/bash
# The user data of the instance that scripts/bake.sh makes an image of: installs what the user data of hosts would
# install at each boot (boot.sh, worker.sh), removes what belongs to this instance alone, and stops it.
set -euo pipefail

say() { echo "event=image_bake step=$1 uptime_seconds=$(cut -d' ' -f1 /proc/uptime)"; }

trap 'say failed' EXIT
say began
dnf install --assumeyes --quiet python3.11 valkey
python3.11 --version
valkey-server --version
say installed
dnf clean all --quiet
rm -f /etc/ssh/ssh_host_*
truncate --size=0 /etc/machine-id
cloud-init clean --logs
say finished
trap - EXIT
shutdown -h now
