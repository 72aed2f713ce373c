#!/usr/bin/env bash
# Sets everything up and runs the main job on real files: ./scripts/demo.sh [FILE...]
set -euo pipefail

# shellcheck source=scripts/_venv.sh
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"

set_up run
# -P: the caller's directory, which the files are relative to, holds none of the program's modules.
exec "$python" -P -m workmanager.demo --repository "$root" "$@"
