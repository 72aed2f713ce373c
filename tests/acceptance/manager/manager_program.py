"""The manager as a program: started on a free port, its log kept."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.waiting import DEADLINE_SECONDS, until

ANSWER_SECONDS = 90.0
"""For so long tests wait for an answer to a request, which httpx gives up after 5 s."""


class ManagerProgram:
    """A running `python -m manager`.

    Args:
        directory: for its log.
        redis_url: of the queue.
        module: the program.
        settings: WORKMANAGER_<NAME> by name.
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
        directory.mkdir(parents=True, exist_ok=True)
        self._log = directory / f"manager-{len(list(directory.iterdir()))}.log"
        command = [sys.executable, "-m", module, "--port", "0", "--redis-url", redis_url, *arguments]
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=environment(**settings))
        self.port: int = until(self._find_port, wanted="the manager's port")
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has written."""
        return self._log.read_text()

    def wait_until_ready(self) -> "ManagerProgram":
        """Returns when it takes jobs."""
        with self.client() as client:
            until(lambda: client.get("/readyz").is_success, wanted=f"ready: {self.log}")
        return self

    def client(self) -> httpx.Client:
        """A client of it."""
        return httpx.Client(base_url=self.url, timeout=ANSWER_SECONDS)

    def stop(self) -> int:
        """Ends it as a deployment does; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_SECONDS)

    def kill(self) -> None:
        """Ends it at once, if it runs."""
        self.process.kill()
        self.process.wait()

    def _find_port(self) -> int:
        assert self.process.poll() is None, self.log
        match = re.search(r"event=manager_listening .*port=(\d+)", self.log)
        return int(match[1]) if match else 0


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with these settings alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WORKMANAGER_")}
    return kept | {f"WORKMANAGER_{name}": value for name, value in settings.items()}
