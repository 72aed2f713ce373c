#!/usr/bin/env bash
# Sets everything up and runs the tests: ./scripts/test.sh [pytest arguments]
set -euo pipefail

# shellcheck source=scripts/_setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/_setup.sh"

set_up dev
cd "$root"
exec "$python" -m pytest "$@"
