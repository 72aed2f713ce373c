#!/usr/bin/env bash
# Backs up Redis servers of this host to S3: a consistent copy of the append-only files of each while it keeps writing.
# Each job is in one server's backup: that of a manager's own server (port 6379), and of a replica that has taken over
# from the other manager's. A server can be started from a copy, which has its appendonlydir and its nodes.conf:
#
#   BACKUPS/hourly/HOST/YYYY-mm-ddTHHMMSSZ/PORT/    the bucket keeps these for two days
#   BACKUPS/daily/HOST/YYYY-mm-ddTHHMMSSZ/PORT/     the first of each day, which it keeps for a month
#
# workmanager-backup.timer runs this with BACKUPS=s3://BUCKET/backup. STORES_DIRECTORY has the servers' data.
set -euo pipefail

stores="${STORES_DIRECTORY:-/var/lib/workmanager}"
moment="$(date -u +%Y-%m-%dT%H%M%SZ)"

# is_backed_up PORT
is_backed_up() {
    [ "$1" = 6379 ] || awk '$3 ~ /myself/ && $3 ~ /master/ && NF > 8 { found = 1 } END { exit !found }' "$stores/$1/nodes.conf"
}

# copy_consistently FROM TO: the manifest lists the files that belong together. If it did not change while they were
# copied, no rewrite happened meanwhile. The last file may end within a command, which a server ignores on loading.
copy_consistently() {
    local from="$1" to="$2" manifest before tries
    for tries in 1 2 3 4 5; do
        rm -rf "$to"
        mkdir -p "$to"
        manifest="$(find "$from" -name '*.manifest')"
        if [ -z "$manifest" ]; then
            return 1
        fi
        before="$(cat "$manifest")"
        # On XFS the copy shares the blocks, so that it takes no time.
        if cp --archive --reflink=auto "$from" "$to/" && [ "$before" = "$(cat "$manifest")" ]; then
            return 0
        fi
        echo "event=backup_retried directory=$from tries=$tries" >&2
    done
    return 1
}

kept=hourly
if [ "$(cat "$stores/backup.day" 2>/dev/null)" != "${moment%T*}" ]; then
    kept=daily
fi
target="$BACKUPS/$kept/$HOST/$moment"
copies="$(mktemp -d "$stores/backup.XXXXXX")"
trap 'rm -rf "$copies"' EXIT
for directory in "$stores"/*/appendonlydir; do
    port="$(basename "$(dirname "$directory")")"
    if ! is_backed_up "$port"; then
        continue
    fi
    copy_consistently "$directory" "$copies/$port" || {
        echo "event=backup_failed directory=$directory: its files kept changing, or there is no manifest" >&2
        exit 1
    }
    cp "$stores/$port/nodes.conf" "$copies/$port/" 2>/dev/null || true # a server without a cluster has none
    aws s3 cp --recursive --only-show-errors "$copies/$port" "$target/$port/"
    echo "event=backup_uploaded port=$port to=$target/$port/"
done
echo "${moment%T*}" >"$stores/backup.day"
touch "$stores/backup.succeeded" # its age is a metric with an alarm
