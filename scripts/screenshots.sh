#!/usr/bin/env bash
# Takes the pictures of the dashboard in docs/pictures: runs a system with some work for a minute, and Debian's chromium.
set -euo pipefail

# shellcheck source=scripts/_venv.sh
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"

set_up run
cd "$root"
folder="$(mktemp -d)"
port="${PORT:-5600}"
export WORKMANAGER_URL="http://127.0.0.1:$port"
system=""
end() {
    [ -z "$system" ] || { kill "$system" && wait "$system" || true; }
    rm -rf "$folder"
}
trap end EXIT

mkdir "$folder/functions"
cat >"$folder/functions/shop.py" <<'PY'
"""What the pictures show running."""

import random
import time

from workmanager import job


def render(page: int) -> str:
    """Take a while, and tell how far it is."""
    for _ in job.track(range(20)):
        time.sleep(random.uniform(0.02, 0.08))
    print(f"page {page} is rendered")
    return f"pages/{page}.pdf"


def thumbnail(width: int) -> int:
    """Take a moment."""
    time.sleep(random.uniform(0.05, 0.3))
    return width


def charge(order: str) -> None:
    """Fail, as some do."""
    raise ConnectionError("the payment service does not answer")


def report(days: int) -> float:
    """Fail if asked for no day."""
    return 100 / days
PY
PYTHONPATH="$folder/functions" WORKMANAGER_FUNCTIONS=shop WORKMANAGER_MIN_WORKERS=1 "$python" -m workmanager up \
    --port "$port" --max-workers 4 --data-dir "$folder/data" >"$folder/ready" 2>"$folder/log" &
system=$!
until grep -q ready "$folder/ready"; do
    kill -0 "$system" 2>/dev/null || { tail "$folder/log" && exit 1; }
    sleep 0.2
done

client() { "$python" -m workmanager "$@"; }
# jobs NUMBER FUNCTION NAME VALUE [OPTION...]: jobs of one kind
jobs() {
    local number="$1" function="$2" name="$3" value="$4"
    shift 4
    for _ in $(seq "$number"); do
        echo "{\"function\": \"shop.$function\", \"kwargs\": {\"$name\": $value}}"
    done | client submit --batch - "$@" >/dev/null
}
client schedule put nightly-report --cron '30 2 * * *' --timezone Europe/Berlin --function shop.report --kwargs '{"days": 7}' >/dev/null
cat >"$folder/workflow.json" <<'JSON'
{
    "jobs": {
        "fetch": {"function": "shop.thumbnail", "kwargs": {"width": 1}},
        "left": {"function": "shop.thumbnail", "kwargs": {"width": 200}, "depends_on": ["fetch"]},
        "right": {"function": "shop.render", "kwargs": {"page": 2}, "depends_on": ["fetch"]},
        "join": {"function": "shop.render", "kwargs": {"page": 3}, "depends_on": ["left", "right"]}
    },
    "finally": {"function": "noop"}
}
JSON
# The charts begin when somebody looks.
curl -sN "$WORKMANAGER_URL/dashboard/events?page=overview" >/dev/null &
workflow="$(client workflow submit "$folder/workflow.json" --json | "$python" -c 'import json, sys; print(json.load(sys.stdin)["id"])')"
end_at=$((SECONDS + ${WORK_SECONDS:-60}))
while [ "$SECONDS" -lt "$end_at" ]; do
    jobs 12 thumbnail width 320
    jobs 3 render page 7
    jobs 1 charge order '"42"'
    jobs 1 report days 0
    sleep 2
done
jobs 60 render page 8

mkdir -p docs/pictures
# picture NAME PATH HEIGHT
picture() {
    chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor=1 --no-first-run \
        --disable-background-networking --user-data-dir="$folder/browser" --timeout=4000 --window-size="1280,$3" \
        --screenshot="docs/pictures/$1.png" "$WORKMANAGER_URL$2" >/dev/null 2>&1
    echo "docs/pictures/$1.png"
}
picture overview / 900
picture failures /dashboard/failures 620
picture workflow "/dashboard/workflows/$workflow" 700
picture scaler /dashboard/scaler 900
