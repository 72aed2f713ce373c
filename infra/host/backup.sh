#!/usr/bin/env bash
# Copies every Redis server's append-only files to S3, as they are at one moment, while the server goes on writing.
# BACKUPS/YYYY-mm-ddTHHMMSSZ/PORT/ then holds what a server can be started from: its appendonlydir and its nodes.conf.
# Run by workmanager-backup.timer, with BACKUPS=s3://BUCKET/backup/HOST; STORES_DIRECTORY is for restoring elsewhere.
set -euo pipefail

stores="${STORES_DIRECTORY:-/var/lib/workmanager}"
moment="$(date -u +%Y-%m-%dT%H%M%SZ)"

# The manifest names the files that belong together. If it is the same before and after they were copied, no rewrite
# came in between. The last file may end within a command, which a server that loads it cuts off.
copy_at_once() {
    local from="$1" to="$2" manifest before tries
    for tries in 1 2 3 4 5; do
        rm -rf "$to"
        mkdir -p "$to"
        manifest="$(find "$from" -name '*.manifest')"
        if [ -z "$manifest" ]; then
            return 1
        fi
        before="$(cat "$manifest")"
        # On XFS this shares the blocks and takes no time.
        if cp --archive --reflink=auto "$from" "$to/" && [ "$before" = "$(cat "$manifest")" ]; then
            return 0
        fi
        echo "event=backup_retried directory=$from tries=$tries" >&2
    done
    return 1
}

copies="$(mktemp -d "$stores/backup.XXXXXX")"
trap 'rm -rf "$copies"' EXIT
for directory in "$stores"/*/appendonlydir; do
    port="$(basename "$(dirname "$directory")")"
    copy_at_once "$directory" "$copies/$port" || {
        echo "event=backup_failed directory=$directory: its files kept changing, or have no manifest" >&2
        exit 1
    }
    cp "$stores/$port/nodes.conf" "$copies/$port/" 2>/dev/null || true # a server of no cluster has none
    aws s3 cp --recursive --only-show-errors "$copies/$port" "$BACKUPS/$moment/$port/"
    echo "event=backup_uploaded port=$port to=$BACKUPS/$moment/$port/"
done
