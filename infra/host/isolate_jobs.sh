#!/usr/bin/env bash
# Keeps the user of jobs from the instance metadata service, and so from the role of the host: its packets to that address
# find no route. Before each start of the worker, as root.
#   isolate_jobs.sh USER
set -euo pipefail

uid="$(id -u "$1")"
for version_and_address in '-4 169.254.169.254' '-6 fd00:ec2::254'; do
    read -r version address <<<"$version_and_address"
    # Without IPv6, there is nothing to keep from.
    if [ "$version" = -6 ] && [ ! -e /proc/net/if_inet6 ]; then
        continue
    fi
    ip "$version" rule delete priority 169 2>/dev/null || true
    ip "$version" rule add priority 169 to "$address" uidrange "$uid-$uid" prohibit
done
