"""A supervised child process: restarted with exponential backoff when it exits unexpectedly."""

import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence

from redis.backoff import ExponentialBackoff

log = logging.getLogger(__name__)

FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 15.0
MAX_DOUBLINGS = 10
"""Limit of the exponent: `MAX_BACKOFF_SECONDS` is reached long before, and redis-py overflows at 1,024 doublings."""
STABLE_SECONDS = 30.0
"""A process that ran this long is restarted after the first backoff again."""


class SupervisedProcess:
    """One child process at a time. Its output goes to stderr; Ctrl-C in the terminal does not reach it."""

    def __init__(
        self, name: str, command: Sequence[str], *, environ: Mapping[str, str], inherited_fds: Sequence[int] = ()
    ) -> None:
        self.name = name
        self._command = list(command)
        self._environ = dict(environ)
        self._inherited_fds = tuple(inherited_fds)
        self._process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self._restart_at: float | None = None
        self._failures = 0
        self._backoff = ExponentialBackoff(cap=MAX_BACKOFF_SECONDS, base=FIRST_BACKOFF_SECONDS)

    @property
    def exit_code(self) -> int | None:
        """None while the process runs; negative: the number of the signal that ended it."""
        return self._process.poll() if self._process is not None else None

    def start(self, now: float) -> None:
        self._process = subprocess.Popen(
            self._command,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            pass_fds=self._inherited_fds,
            start_new_session=True,
        )
        self.started_at, self._restart_at = now, None
        log.info("event=program_started name=%s pid=%d", self.name, self._process.pid)

    def restart_if_due(self, now: float) -> None:
        """Restart the process if it has ended and its backoff is over. Call this often."""
        if self.exit_code is None:
            return
        if self._restart_at is None:
            self._failures = 0 if now - self.started_at >= STABLE_SECONDS else self._failures + 1
            backoff_seconds = self._backoff.compute(min(self._failures, MAX_DOUBLINGS))
            self._restart_at = now + backoff_seconds
            log.warning(
                "event=program_exited name=%s exit_code=%s restart_in_seconds=%.1f",
                self.name,
                self.exit_code,
                backoff_seconds,
            )
        if now >= self._restart_at:
            self.start(now)

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """Kill the process and wait until it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
