#!/usr/bin/env bash
# Sets everything up and runs the tests: ./scripts/test.sh [pytest arguments]
set -euo pipefail

# shellcheck source=scripts/_venv.sh
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"

# What tests use beside Python, of Debian's packages: where something is missing and cannot be installed, the tests that
# need it are skipped, saying so.
install_packages() {
    local missing=()
    # The embedded Valkey has no TLS. redis-tools holds the whole server under another name, and starts no service.
    _has valkey-server redis-server redis-check-rdb || missing+=(redis-tools)
    _has openssl || missing+=(openssl)
    # Hosts as network namespaces, and what user data of instances calls.
    { _has ip && _has ss; } || missing+=(iproute2)
    _has sysctl || missing+=(procps)
    # A host whose clock is off.
    compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null || missing+=(libfaketime)
    # The simulator of IAM policies.
    { _has node && _has npm; } || missing+=(npm)
    if [ "${#missing[@]}" = 0 ] || [ "$(id -u)" != 0 ] || ! _has apt-get; then
        return
    fi
    _say "installing ${missing[*]} for the tests"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
        >/dev/null 2>&1 || _say "${missing[*]} could not be installed: the tests that need them are skipped"
}

# Whether one of the programs is there.
_has() { command -v "$@" >/dev/null; }

# Before the tests begin: while they run, nothing is installed into the environment that their programs start from.
set_up deploy
set_up dev
install_packages
cd "$root"
# Two files at a time: most tests wait for processes, not for processors.
exec "$python" -m pytest --numprocesses 2 --dist loadfile "$@"
