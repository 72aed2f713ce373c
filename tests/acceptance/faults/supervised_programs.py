"""Programs on hosts that are restarted when they end, as systemd does."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.acceptance.faults.hosts import Host


class SupervisedProgram:
    """One program, restarted when it ends unless it is held down.

    Attributes:
        environ: environment of the next start.
        restart_seconds: time from its end to its restart.
    """

    def __init__(
        self,
        name: str,
        host: Host,
        command: Sequence[str],
        *,
        directory: Path,
        restart_seconds: float,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.host = host
        self.directory = directory
        self.restart_seconds = restart_seconds
        self._command = host.command(*command)
        self.environ = {**os.environ, **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._ended_at: float | None = None
        self._held = False

    @property
    def pid(self) -> int | None:
        """Its process id while it runs, else None."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """How it ended; None if it runs, or never did."""
        return self._process.poll() if self._process is not None else None

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.directory,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._ended_at = None

    def restart_if_due(self) -> None:
        """Restart the program if it has ended long enough ago. Call this often."""
        if self._held or self.pid is not None:
            return
        now = time.monotonic()
        if self._ended_at is None:
            self._ended_at = now
        if now - self._ended_at >= self.restart_seconds:
            self.start()

    def wait_again(self) -> None:
        """Treat a start that was not possible as if the program had ended once more."""
        self._ended_at = None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the program if it runs."""
        if self.pid is not None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the program and wait until it and its descendants are gone."""
        if self._process is not None:
            # Executors have their own sessions and end with their agent.
            self._process.kill()
            self._process.wait()

    def hold_down(self) -> None:
        """Do not restart the program until `allow_restart`, as if its host were off."""
        self._held = True

    def allow_restart(self) -> None:
        self._held = False
        self._ended_at = None if self.pid is not None else self._ended_at or time.monotonic()

    def children(self) -> list[int]:
        """Return the process ids of its running children."""
        return [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and self.pid is not None and _parent(entry) == self.pid
        ]


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has just ended
        return None
