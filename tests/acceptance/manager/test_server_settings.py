"""A Redis with its default settings, which would lose accepted jobs: whoever looks is told."""

import subprocess
import sys

import httpx

from tests.acceptance.manager.conftest import Start
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

TOLD = "set appendonly yes (docs/redis.md)"


def test_a_redis_without_an_append_only_file_is_told_by_status_doctor_dashboard_and_log(
    start: Start, private_server: ValkeyServer
) -> None:
    private_server.command("CONFIG", "SET", "appendonly", "no")
    manager = start(private_server.url).wait_until_ready()
    with manager.client() as http:
        problems = until(lambda: http.get("/status").json()["problems"], wanted="the server in /status")
        assert TOLD in problems[0]
        assert TOLD in http.get("/", headers={"Accept": "text/html"}).text
        assert f"event=redis_settings_unsafe server=127.0.0.1:{private_server.port} " in manager.log
        doctor = _run("doctor", http)
        assert (doctor.returncode, TOLD in doctor.stdout) == (1, True)
        assert TOLD in _run("status", http).stdout


def _run(command: str, http: httpx.Client) -> subprocess.CompletedProcess[str]:
    arguments = (sys.executable, "-m", "workmanager", command, "--url", str(http.base_url))
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
