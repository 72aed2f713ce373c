#!/usr/bin/env bash
# Hands a master over to its replica before its Redis server stops: writes then wait for milliseconds instead of for a
# failover. Without it, nothing is lost. The witness has no jobs and no manager's settings, and skips it.
#   hand_over.sh PORT
set -euo pipefail

settings=/etc/workmanager/manager.env
if [ ! -e "$settings" ]; then
    exit 0
fi
while read -r line; do
    export "${line?}"
done < <(grep '=' "$settings")
address="$(awk '$1 == "bind" { gsub(/"/, "", $2); print $2 }' "/etc/workmanager/store-$1.conf")"
export PYTHONPATH=/opt/workmanager/site
exec python3.11 -m manager.cluster --hand-over "$address:$1" --seconds 10
