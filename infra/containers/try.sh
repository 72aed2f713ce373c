#!/usr/bin/env bash
# Builds the image on a base of Debian packages alone, where no image hub is to be had, and runs a job in it (as root).
# Needs buildah and debootstrap; takes some minutes and 3 GB. PIP_OPTIONS are options of `buildah bud`, such as a volume
# with pip's configuration.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder="$(mktemp -d)"
port="${PORT:-5999}"
key="$(od -An -tx1 -N16 /dev/urandom | tr -d ' \n')"
programs=()
export STORAGE_DRIVER=vfs
in_store() { buildah --root "$folder/store" --runroot "$folder/run" "$@"; }
# Each program runs as a child of buildah, and ends when its own process is told to.
end() {
    [ "${#programs[@]}" = 0 ] || pkill -TERM -P "$(IFS=, && echo "${programs[*]}")" || true
    wait
    rm -rf "$folder"
}
trap end EXIT

debootstrap --variant=minbase --include=ca-certificates,passwd,python3,python3-venv bookworm "$folder/base" >/dev/null
container="$(in_store from scratch)"
in_store copy --quiet "$container" "$folder/base" / >/dev/null
in_store commit --quiet "$container" base >/dev/null
# shellcheck disable=SC2086  # several options
in_store bud --isolation chroot --network host --pull-never --build-arg BASE=localhost/base ${PIP_OPTIONS:-} \
    --file infra/containers/Containerfile --tag workmanager . >"$folder/build.log" 2>&1 ||
    { tail -20 "$folder/build.log" && exit 1; }
echo "built: $(in_store images --format '{{.Size}}' workmanager), of which the base is $(in_store images --format '{{.Size}}' base)"

# run COMMAND...: one container
run() {
    container="$(in_store from --pull-never localhost/workmanager)"
    in_store run --isolation chroot --user 10001:10001 --env "WORKMANAGER_REDIS_URL=$REDIS_URL" \
        --env "WORKMANAGER_API_KEYS=$key" "$container" -- workmanager "$@" >>"$folder/log" 2>&1 &
    programs+=("$!")
}
: "${REDIS_URL:?give the URL of an empty Redis, such as redis://127.0.0.1:6379}"
run manager --host 0.0.0.0 --port "$port" --scaler none
run worker --slots 1
ask() { curl -sSf --retry 30 --retry-delay 1 --retry-all-errors -H "Authorization: Bearer $key" "$@"; }
ask -o /dev/null "http://127.0.0.1:$port/readyz"
ask -X PUT --data-binary abc "http://127.0.0.1:$port/enqueue?iterations=1" && echo
ask -X POST "http://127.0.0.1:$port/pullCompleted?top=1&wait=30" |
    grep "$(printf abc | sha512sum | cut -d' ' -f1)" >/dev/null
echo "a job ran, as user 10001"
