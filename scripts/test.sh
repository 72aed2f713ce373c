#!/usr/bin/env bash
# Sets everything up and runs the tests: ./scripts/test.sh [pytest arguments]
set -euo pipefail

# shellcheck source=scripts/_setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/_setup.sh"

# The embedded Valkey has no TLS. Debian's redis-tools holds the whole server under another name, and starts no service.
install_server_with_tls() {
    if command -v valkey-server redis-server redis-check-rdb >/dev/null && command -v openssl >/dev/null; then
        return
    fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        _say "installing redis-tools for the tests of TLS"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-tools openssl; } >/dev/null 2>&1 ||
            _say "redis-tools could not be installed: the tests of TLS are skipped"
    fi
}

set_up dev
install_server_with_tls
cd "$root"
# Two files at a time: most tests wait for processes, not for processors.
exec "$python" -m pytest --numprocesses 2 --dist loadfile "$@"
