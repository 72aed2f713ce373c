#!/usr/bin/env bash
# Sets everything up and runs the tests: ./scripts/test.sh [pytest arguments]
set -euo pipefail

# shellcheck source=scripts/_venv.sh
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"

# Installs the Debian packages that tests use besides Python. Tests are skipped, with the reason, if a program they need
# is missing and cannot be installed.
install_packages() {
    local missing=()
    # The embedded Valkey has no TLS. redis-tools contains the whole server under another name, and starts no service.
    _has valkey-server redis-server redis-check-rdb || missing+=(redis-tools)
    _has openssl || missing+=(openssl)
    # Hosts as network namespaces, and programs that the instances' user data calls.
    { _has ip && _has ss; } || missing+=(iproute2)
    _has sysctl || missing+=(procps)
    # Hosts whose clocks are wrong.
    compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null || missing+=(libfaketime)
    # The simulator of IAM policies.
    { _has node && _has npm; } || missing+=(npm)
    # Clients of other kinds, and a browser.
    _has curl || missing+=(curl)
    # What man shows pages with.
    _has groff || missing+=(groff-base)
    # Shells whose completions are tried.
    _has zsh || missing+=(zsh)
    _has fish || missing+=(fish)
    { _has java && _has javac; } || missing+=(default-jdk-headless)
    _has go || missing+=(golang-go)
    _has jq || missing+=(jq)
    { _has chromium && _has chromedriver; } || missing+=(chromium chromium-driver)
    # Proxies in front of managers, and Prometheus. Where systemd runs, their packages would also start services.
    if [ ! -d /run/systemd/system ]; then
        { _has prometheus && _has promtool; } || missing+=(prometheus)
        _has nginx || missing+=(nginx-light)
        _has haproxy || missing+=(haproxy)
    fi
    if [ "${#missing[@]}" = 0 ] || [ "$(id -u)" != 0 ] || ! _has apt-get; then
        return
    fi
    _say "installing ${missing[*]} for the tests"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
        >/dev/null 2>&1 || _say "${missing[*]} could not be installed: the tests that need them are skipped"
}

# _has PROGRAM...: whether one of them is installed
_has() { command -v "$@" >/dev/null; }

# Both before the tests begin: while they run, nothing must change in the environment of the programs they start.
set_up deploy
set_up dev
install_packages
cd "$root"
# Three files at a time: most tests wait for processes, and need little CPU. In the order of the tree, the long ones
# come first. By default those files come first that have the most tests, and the long ones are left for the end.
exec "$python" -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder "$@"
