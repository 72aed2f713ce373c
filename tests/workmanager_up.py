"""A run of `workmanager up`, for tests of it and of what it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis

from tests.ports import pick_port
from tests.processes import running_in
from tests.waiting import until

_ROOT = Path(__file__).parents[1]


class WorkmanagerUp:
    """A run of `workmanager up` in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = pick_port(consecutive=2)
        self.urls = [f"http://127.0.0.1:{self.port + number}" for number in range(2)]
        directory.mkdir(parents=True)
        self.log = directory / "up.log"
        self.process: subprocess.Popen[str] | None = None  # the last one started
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, *options: str, environ: Mapping[str, str] | None = None, **popen: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "workmanager", "up", "--port", str(self.port)]
        if "--redis-url" not in options:
            command += ["--data-dir", "data"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, *options],
                cwd=self.directory,
                env={**os.environ, "PYTHONPATH": str(_ROOT), **(environ or {})},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                **popen,
            )
        self._processes.append(self.process)
        return self.process

    def wait_until_ready(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.process.stdout.readline().split() == ["ready", *self.urls], self.log.read_text()

    def startup_error(self, *options: str, **how: Any) -> str:
        """The one line that a start which exits with 2 writes."""
        process = self.start(*options, **how)
        output, _ = process.communicate(timeout=90)
        told = [line for line in self.log.read_text().splitlines() if " INFO " not in line]
        assert (process.returncode, output, len(told)) == (2, "", 1), self.log.read_text()
        return told[0]

    def redis_client(self) -> redis.Redis:
        port = int((self.directory / "data/single/port").read_text())
        return redis.Redis(port=port, decode_responses=True)

    def pid_of(self, text: str) -> int:
        found = [line for line in running_in(self.directory) if text in line]
        assert found, running_in(self.directory)
        return int(found[0].split()[0])

    def stop(self) -> int:
        """The exit code after SIGTERM."""
        assert self.process is not None
        self.process.terminate()
        self.process.communicate(timeout=120)
        return self.process.returncode

    def kill_all(self) -> None:
        """Leaves nothing, however the test went."""
        for process in self._processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if self.log.exists():
            sys.stderr.write(self.log.read_text())  # pytest shows it with a failure
        until(lambda: not running_in(self.directory), wanted="the end of all processes")
