#!/usr/bin/env bash
# Sets everything up and runs the demo, the main job on real files: ./scripts/demo.sh [FILE...]   (or --help)
set -euo pipefail

# shellcheck source=scripts/_venv.sh
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"

set_up run
# -P: import nothing from the caller's directory, to which the file names are relative.
exec "$python" -P -m workmanager.demo --repository "$root" "$@"
