"""Start and stop `workmanager up`, for tests of the command and of the processes that it starts."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import redis

from tests.ports import pick_port
from tests.processes import running_in
from tests.waiting import until

_ROOT = Path(__file__).parents[1]


class WorkmanagerUp:
    """`workmanager up` in a directory of its own, started as often as a test needs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = pick_port(consecutive=2)
        self.urls = [f"http://127.0.0.1:{self.port + number}" for number in range(2)]
        directory.mkdir(parents=True)
        self.log = directory / "up.log"
        self.process: subprocess.Popen[str] | None = None
        """The one started last."""
        self._processes: list[subprocess.Popen[str]] = []

    def start(
        self, *options: str, environ: Mapping[str, str] | None = None, prefix: Sequence[str] = (), **popen: Any
    ) -> subprocess.Popen[str]:
        command = [*prefix, sys.executable, "-m", "workmanager", "up", "--port", str(self.port)]
        has_redis = any(name.startswith("WORKMANAGER_REDIS_URL") for name in environ or {})
        if "--redis-url" not in options and not has_redis:
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

    def startup_error(self, *options: str, **start: Any) -> str:
        """Start with options that must fail with exit code 2, and return the one line it logs."""
        process = self.start(*options, **start)
        output, _ = process.communicate(timeout=90)
        errors = [line for line in self.log.read_text().splitlines() if " INFO " not in line]
        assert (process.returncode, output, len(errors)) == (2, "", 1), self.log.read_text()
        return errors[0]

    def redis_client(self) -> redis.Redis:
        """Return a client of the Redis that `workmanager up` has started."""
        port = int((self.directory / "data/single/port").read_text())
        return redis.Redis(port=port, decode_responses=True)

    def pid_of(self, text: str) -> int:
        """Return the process id of the first process whose command line contains `text`."""
        found = [line for line in running_in(self.directory) if text in line]
        assert found, running_in(self.directory)
        return int(found[0].split()[0])

    def stop(self) -> int:
        """Send SIGTERM, wait for the end, and return the exit code."""
        assert self.process is not None
        self.process.terminate()
        self.process.communicate(timeout=120)
        return self.process.returncode

    def kill_all(self) -> None:
        """Kill every start and wait until no process of the directory is left."""
        for process in self._processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if self.log.exists():
            sys.stderr.write(self.log.read_text())  # pytest shows it with a failure
        until(lambda: not running_in(self.directory), wanted="the end of all processes")
