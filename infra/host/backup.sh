#!/usr/bin/env bash
# Backs up every Redis server of this host to S3: a consistent copy of its append-only files while it keeps writing.
# A server can be started from BACKUPS/YYYY-mm-ddTHHMMSSZ/PORT/, which holds its appendonlydir and its nodes.conf.
# workmanager-backup.timer runs this with BACKUPS=s3://BUCKET/backup/HOST. STORES_DIRECTORY has the servers' data.
set -euo pipefail

stores="${STORES_DIRECTORY:-/var/lib/workmanager}"
moment="$(date -u +%Y-%m-%dT%H%M%SZ)"

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

copies="$(mktemp -d "$stores/backup.XXXXXX")"
trap 'rm -rf "$copies"' EXIT
for directory in "$stores"/*/appendonlydir; do
    port="$(basename "$(dirname "$directory")")"
    copy_consistently "$directory" "$copies/$port" || {
        echo "event=backup_failed directory=$directory: its files kept changing, or there is no manifest" >&2
        exit 1
    }
    cp "$stores/$port/nodes.conf" "$copies/$port/" 2>/dev/null || true # a server without a cluster has none
    aws s3 cp --recursive --only-show-errors "$copies/$port" "$BACKUPS/$moment/$port/"
    echo "event=backup_uploaded port=$port to=$BACKUPS/$moment/$port/"
done
