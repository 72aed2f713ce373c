#!/usr/bin/env bash
# After a Redis server has ended: if it cannot read its files and another member of the cluster serves its slots, moves
# the files aside. The server then starts empty and copies that member. Otherwise it keeps them, and the log says what a
# person can do. The witness's own server holds no jobs, and its host has no settings to ask the cluster: no question.
#   set_aside.sh PORT    systemd gives the server's EXIT_STATUS
set -euo pipefail

UNREADABLE=3
CANNOT_LOAD=1 # among others
directory="${STORES_DIRECTORY:-/var/lib/workmanager}/$1"
configuration="${CONFIGURATION_DIRECTORY:-/etc/workmanager}"
export PYTHONPATH=/opt/workmanager/site

if [ "${EXIT_STATUS:-}" != "$CANNOT_LOAD" ]; then
    exit 0
fi
status=0
python3.11 -m workmanager.append_only --check valkey-server "$directory" || status=$?
if [ "$status" != "$UNREADABLE" ]; then
    exit 0
fi
if [ -e "$configuration/manager.env" ]; then
    while read -r line; do
        export "${line?}"
    done < <(grep '=' "$configuration/manager.env")
    address="$(awk '$1 == "bind" { gsub(/"/, "", $2); print $2 }' "$configuration/store-$1.conf")"
    if ! python3.11 -m manager.cluster --served-elsewhere "$address:$1" 2>/dev/null; then
        echo "event=append_only_kept directory=$directory reason='no other member serves its slots'" >&2
        exit 0
    fi
fi
python3.11 -m workmanager.append_only --set-aside "$directory"
