#!/usr/bin/env bash
# Talks to managers with every HTTP client and proxy that there is a package for, and with many of them at once. As root:
#
#   tests/acceptance/http/peers.sh [pytest arguments]
#
# CI runs the same tests, but skips those whose programs take long to install, and in fewer rounds.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
    curl nginx-light haproxy nodejs default-jdk-headless golang-go jq chromium chromium-driver wrk >/dev/null
export WORKMANAGER_TEST_HTTP_ROUNDS=30 WORKMANAGER_TEST_FUZZ_EXAMPLES=20000
.venv/bin/python -m pytest -p no:xdist -o timeout=0 tests/acceptance/http tests/unit/manager/http/test_fuzz.py \
    tests/unit/jobqueue/servers/test_fuzz_answers.py "$@"
.venv/bin/python -m tests.acceptance.http.crowd
