"""Run `python -m manager` on a free port and keep its log."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.waiting import DEADLINE_SECONDS, until

ANSWER_SECONDS = 90.0
"""Timeout of a request in tests, instead of httpx' 5 s."""


class ManagerProgram:
    """A running `python -m manager`.

    Args:
        directory: where its log is written.
        redis_url: the queue.
        module: the program to run instead of `manager`.
        settings: values of WORKMANAGER_<NAME> by name.
    """

    def __init__(
        self,
        directory: Path,
        redis_url: str,
        arguments: tuple[str, ...] = (),
        *,
        module: str = "manager",
        **settings: str,
    ) -> None:
        self.redis_url = redis_url
        directory.mkdir(parents=True, exist_ok=True)
        self._log = directory / f"manager-{len(list(directory.iterdir()))}.log"
        command = [sys.executable, "-m", module, "--port", "0", "--redis-url", redis_url, *arguments]
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=environment(**settings))
        self.port: int = until(self._find_port, wanted="the manager's port")
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Its output so far."""
        return self._log.read_text()

    def wait_until_ready(self) -> "ManagerProgram":
        """Wait until it accepts jobs."""
        with self.client() as client:
            until(lambda: client.get("/readyz").is_success, wanted=f"ready: {self.log}")
        return self

    def client(self) -> httpx.Client:
        """Return an HTTP client of it."""
        # Without TLS there are no certificates to read, which takes longer than a request.
        return httpx.Client(base_url=self.url, timeout=ANSWER_SECONDS, verify=False)

    def stop(self) -> int:
        """Stop it as a deployment does and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_SECONDS)

    def kill(self) -> None:
        """Kill it if it is running."""
        self.process.kill()
        self.process.wait()

    def _find_port(self) -> int:
        assert self.process.poll() is None, self.log
        match = re.search(r'manager_listening.*?port(?:=|": )(\d+)', self.log)
        return int(match[1]) if match else 0


def environment(**settings: str) -> dict[str, str]:
    """Return this process's environment with only these settings of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WORKMANAGER_")}
    return kept | {f"WORKMANAGER_{name}": value for name, value in settings.items()}
