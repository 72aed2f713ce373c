#!/usr/bin/env bash
# Restores a backup: replaces the data of this manager's Redis master. Run each step on both managers, as root, before
# the next one:
#
#   restore.sh quiet         stops all writers, and the replicas, so that none takes over from a master that stops
#   restore.sh load FROM     starts the master (port 6379) with the files of FROM, a directory or
#                            s3://BUCKET/backup/KEPT/HOST/TIMESTAMP/PORT, where KEPT is hourly or daily
#   restore.sh resume        starts the replicas as new copies of their masters, then the manager
#
# FROM is the backup of this master, or of its replica on the other host (docs/operating.md, Restore). The hosts' own
# role cannot read backups: `load` needs credentials in the environment that can.
set -euo pipefail

stores="${STORES_DIRECTORY:-/var/lib/workmanager}"
master="$stores/6379"

say() { echo "event=restore $*"; }

fail() {
    echo "restore: error: $*" >&2
    exit 1
}

main() {
    case "${1:-} $#" in
    "quiet 1") quiet ;;
    "load 2") load "${2%/}" ;;
    "resume 1") resume ;;
    *) fail "wrong arguments; give one of: quiet, load FROM, resume" ;;
    esac
}

quiet() {
    systemctl stop workmanager-backup.timer workmanager-metrics.service workmanager-manager.service
    for_replicas stop
    say "step=quiet"
}

load() {
    local fetched="$stores/restored" slots
    grep -q myself,master "$master/nodes.conf" ||
        fail "the server on port 6379 is a replica now; start the manager and wait until its /readyz returns 200"
    rm -rf "$fetched"
    mkdir -m 0700 "$fetched"
    case "$1" in
    s3://*) aws s3 cp --recursive --only-show-errors "$1/" "$fetched/" ;;
    *) cp -R "$1/." "$fetched/" ;;
    esac
    [ -n "$(find "$fetched/appendonlydir" -name '*.manifest' 2>/dev/null)" ] ||
        fail "$1 has no append-only files; give s3://BUCKET/backup/KEPT/HOST/TIMESTAMP/PORT"
    slots="$(slots_of "$master/nodes.conf")"
    [ "$(slots_of "$fetched/nodes.conf")" = "$slots" ] ||
        fail "$1 is of the other manager: it has the slots $(slots_of "$fetched/nodes.conf"), and this master $slots"
    systemctl stop workmanager-store@6379.service
    # Keep the old data until the restored data have proven good.
    rm -rf "$stores/replaced"
    mv "$master/appendonlydir" "$stores/replaced"
    mv "$fetched/appendonlydir" "$master/appendonlydir"
    chown -R --reference="$master" "$master/appendonlydir"
    rm -rf "$fetched"
    systemctl start workmanager-store@6379.service
    say "step=loaded slots=$slots from=$1 replaced=$stores/replaced"
}

resume() {
    local directory
    for directory in "$stores"/[0-9]*/; do
        if [ "$directory" != "$master/" ]; then
            rm -rf "$directory/appendonlydir"
        fi
    done
    for_replicas start
    systemctl start workmanager-manager.service workmanager-metrics.service workmanager-backup.timer
    say "step=resumed"
}

for_replicas() {
    local directory
    for directory in "$stores"/[0-9]*/; do
        if [ "$directory" != "$master/" ]; then
            systemctl "$1" "workmanager-store@$(basename "$directory").service"
        fi
    done
}

# slots_of NODES_CONF: prints the slots of the server that wrote this file, or of its master
slots_of() {
    awk '{ at = $1; slots[at] = ""; for (i = 9; i <= NF; i++) slots[at] = slots[at] (i > 9 ? "," : "") $i }
        $3 ~ /myself/ { own = $3 ~ /slave/ ? $4 : $1 }
        END { print slots[own] }' "$1"
}

main "$@"
