"""HTTP clients of other languages submit, wait and pull with their defaults."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

PROGRAMS = Path(__file__).parent / "clients"
ROUNDS = int(os.environ.get("WORKMANAGER_TEST_HTTP_ROUNDS", "4"))

# Each does the same: it puts data of 0, 1 and 300,000 bytes, is refused with 3 MB, submits a job whose record it reads,
# and pulls with a wait of a second; every request over again. It prints what it was answered.
EXPECTED = ["200", "200", "200", "413", "201", "200", "404", "200"] * ROUNDS


CLIENTS = {
    "node": (["node"], ["node", "fetch.mjs"]),
    "java": (["java", "javac"], ["java", "Client.java"]),
    "java over HTTP/1.1": (["java", "javac"], ["java", "Client.java", "HTTP_1_1"]),
}
if shutil.which("go") is not None:  # peers.sh installs it, which takes too long for every run.
    CLIENTS["go"] = (["go"], ["go", "run", "client.go"])


@pytest.mark.parametrize(("needed", "command"), CLIENTS.values(), ids=CLIENTS)
def test_a_client_is_answered(
    manager: ManagerProgram, server: ValkeyServer, tmp_path: Path, needed: Sequence[str], command: Sequence[str]
) -> None:
    for program in needed:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    before = _hashed_bytes(server)
    url = manager.url.replace("127.0.0.1", "localhost")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/go/bin", "HOME": str(tmp_path), "URL": url}
    ended = subprocess.run(
        command,
        cwd=PROGRAMS,
        env=environment | {"ROUNDS": str(ROUNDS), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == EXPECTED
    until(lambda: _hashed_bytes(server) == before + ROUNDS * 300_001, wanted="all data in the queue")


def _hashed_bytes(server: ValkeyServer) -> int:
    """Return how many bytes of data the queued jobs hold."""
    script = """
    local sum = 0
    for _, id in ipairs(redis.call('LRANGE', 'rq:queue:default', 0, -1)) do
      local text = redis.call('HGET', 'rq:job:' .. id, 'data')
      local data = string.match(text, '"data":"([^"]*)"')
      if data then sum = sum + #data / 4 * 3 - select(2, string.gsub(string.sub(data, -2), '=', '')) end
    end
    return sum
    """
    return int(server.command("EVAL", script, 0))
