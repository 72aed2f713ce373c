#!/usr/bin/env bash
# The usual tasks of development: ./scripts/dev.sh TASK [ARGUMENT...]
#
#   help                 show this list (default)
#   setup                create or update .venv, as all other tasks do
#   up [OPTION...]       run the whole system in the foreground (workmanager up)
#   unit [ARGUMENT...]   run the unit tests
#   one TEST...          run some tests in one process: a directory, FILE, FILE::NAME, or -k EXPRESSION
#   test [ARGUMENT...]   run all tests, three files at a time (scripts/test.sh)
#   check                run all checks: format, lint, types, tests (.ci/run)
#   format [PATH...]     fix formatting, and what the linter can fix
#   lint                 check formatting, lint errors and shell scripts
#   types                check types
#   audit                look for insecure code (bandit), and for packages with known vulnerabilities (pip-audit)
#   lock                 rewrite requirements-bundle*.txt after a change of requirements.txt or -otel.txt
#   openapi              rewrite openapi.json after a change of the HTTP API
#   async                rewrite workmanager/aio/, the asyncio client, after a change of the client
#   docs [DIRECTORY]     build the documents as a site, in build/site; warnings, such as of broken links, are errors
#   man [DIRECTORY]      write the man pages of workmanager, in build/man
#   wheel [DIRECTORY]    build the package for pip, with man pages and completion, in build/wheel
#   bench NAME           run one benchmark quickly, such as worker_noop
#   fuzz [--seconds N] [NAME...]   try our own parsers with inputs that coverage guides (atheris), for N seconds (600)
#   api [EXAMPLES]       send so many requests (50) to each route of the API, made from its document, others each time
#   raw [--seconds N]    send valid and damaged requests to a running manager over raw connections, for N seconds (600)
#   upgrade REVISION     replace the programs of an earlier revision by these under load, and check every job
#   alerts [ARGUMENT...] make the fault of each alert for Prometheus, and end it, in a running system (minutes)
#   look                 make ten faults in a running system, and take pictures of the pages that tell of them (minutes)
#   rq-tests [FILE...]   download RQ's own tests, and run them with our worker (minutes)
# shellcheck disable=SC2329  # the tasks are called by their names
set -euo pipefail

# shellcheck source=scripts/_venv.sh
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"

main() {
    local task="${1:-help}"
    case "$task" in
    help | -h | --help) print_help && return ;;
    esac
    declare -F "task_$task" >/dev/null || usage "unknown task $task"
    shift
    set_up dev
    cd "$root"
    "task_$task" "$@"
}

print_help() { sed -n '2,/^# shellcheck/{/^# shellcheck/!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

usage() {
    echo "dev: error: $1 (see ./scripts/dev.sh help)" >&2
    exit 2
}

task_setup() { echo ".venv is ready"; }

task_up() { exec "$python" -m workmanager up "$@"; }

task_unit() { exec "$python" -m pytest tests/unit "$@"; }

task_one() {
    [ $# -gt 0 ] || usage "one: give a test, such as tests/unit/scaler/test_policy.py"
    exec "$python" -m pytest "$@"
}

task_test() { exec ./scripts/test.sh "$@"; }

task_check() { exec ./.ci/run; }

task_format() {
    if [ $# = 0 ]; then
        set -- .
    fi
    "$python" -m ruff check --fix --quiet "$@" || true # what is left is shown below
    "$python" -m ruff format "$@"
    "$python" -m ruff check "$@"
}

task_lint() {
    "$python" -m ruff format --check .
    "$python" -m ruff check .
    .venv/bin/shellcheck --external-sources scripts/*.sh infra/*/*.sh .ci/run
}

task_types() { exec "$python" -m mypy; }

task_audit() {
    # Of medium severity and above: the rest is style, such as each use of subprocess.
    "$python" -m bandit --quiet -ll --recursive infra jobqueue manager outgoing processes scaler worker_node workmanager
    "$python" -m infra.audit
}

task_lock() { exec "$python" -m infra.lock; }

task_openapi() {
    local document
    document="$("$python" -m manager.export_openapi)" # the file is kept if this fails
    echo "$document" >openapi.json
}

task_async() { exec "$python" scripts/generate_async_client.py; }

task_fuzz() {
    # Not in requirements-dev.txt: it is large, only for Linux, and not for every version of Python.
    "$python" -m pip --disable-pip-version-check --quiet install atheris==3.0.0 ||
        usage "fuzz: atheris cannot be installed here; see WORKMANAGER_TEST_FUZZ_EXAMPLES in CONTRIBUTING.md"
    exec "$python" -m tests.fuzz "$@"
}

task_docs() { exec "$python" -m scripts.documents.build_site "$@"; }

task_man() { exec "$python" -m scripts.documents.man_pages "$@"; }

task_wheel() {
    rm -rf build/lib build/share # what was removed since would be in the wheel
    "$python" -m scripts.documents.share >/dev/null
    "$python" -m pip "${quiet_pip[@]}" wheel --no-deps --wheel-dir "${1:-build/wheel}" .
    ls "${1:-build/wheel}"/*.whl
}

task_api() {
    WORKMANAGER_TEST_API_EXAMPLES="${1:-50}" exec "$python" -m pytest -p no:xdist -o timeout=0 -k schemathesis \
        tests/acceptance/manager/test_openapi.py
}

task_raw() { exec "$python" -m tests.acceptance.http.raw_campaign "$@"; }

task_upgrade() {
    [ $# -gt 0 ] || usage "upgrade: give a revision of this repository, such as HEAD~50"
    exec "$python" -m tests.acceptance.upgrade "$@"
}

task_alerts() {
    exec "$python" -m pytest -p no:xdist -o timeout=0 --durations=0 tests/acceptance/manager/prometheus_alerts.py "$@"
}

task_look() {
    rm -rf build/faults
    "$python" -m pytest -p no:xdist -o timeout=0 tests/acceptance/manager/seen_faults.py
    cat build/faults/told.txt
}

task_rq-tests() { exec "$python" -m tests.rq_suite "$@"; }

task_bench() {
    [ $# -gt 0 ] || usage "bench: give a name, such as worker_noop"
    exec "$python" -m "benchmarks.$1" --quick "${@:2}"
}

main "$@"
