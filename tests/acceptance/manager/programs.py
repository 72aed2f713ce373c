"""The manager as a program: started on a free port, its log kept."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.waiting import until


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
        self.port: int = until(self._find_port, 20, wanted="the manager's port")
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has written."""
        return self._log.read_text()

    def wait_until_ready(self) -> "ManagerProgram":
        """Returns when it takes jobs."""
        until(lambda: httpx.get(f"{self.url}/readyz").is_success, 20, wanted=f"ready: {self.log}")
        return self

    def stop(self) -> int:
        """Ends it as a deployment does; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

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
