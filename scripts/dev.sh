#!/usr/bin/env bash
# The usual commands of development: ./scripts/dev.sh lists them, ./scripts/dev.sh TASK [ARGUMENT...] runs one.
# shellcheck disable=SC2329 # The tasks are called by their names.
set -euo pipefail

# shellcheck source=scripts/_venv.sh
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"

list_tasks() {
    cat <<'TASKS'
./scripts/dev.sh TASK [ARGUMENT...]

  up [OPTION...]       run the whole system in the foreground (workmanager up)
  unit [ARGUMENT...]   run the unit tests
  one PATH[::NAME]     run one test file, or one test, in this process
  format               fix formatting, and what the linter can fix
  types                check types
  openapi              rewrite openapi.json after a change of the HTTP API
  bench NAME           run one benchmark quickly, such as worker_noop

  ./scripts/test.sh    run all tests
  ./.ci/run            run all checks: format, lint, types, tests
TASKS
}

task_up() { "$python" -m workmanager up "$@"; }
task_unit() { "$python" -m pytest tests/unit "$@"; }
task_one() { "$python" -m pytest -p no:xdist "$@"; }
task_types() { "$python" -m mypy; }
task_openapi() { "$python" -m manager.export_openapi >openapi.json; }
task_bench() { "$python" -m "benchmarks.$1" --quick "${@:2}"; }
task_format() {
    "$python" -m ruff format .
    "$python" -m ruff check --fix .
}

task="${1:-help}"
if ! declare -F "task_$task" >/dev/null; then
    list_tasks
    [ "$task" = help ] && exit
    exit 2
fi
shift
set_up dev
cd "$root"
"task_$task" "$@"
