"""A program that is kept running: started again, later each time, when it ends by itself."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence

from redis.backoff import ExponentialBackoff

log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0
_MAX_DOUBLINGS = 30  # redis-py computes 2**failures before it applies the maximum: a float overflows at 1,024
_STEADY_SECONDS = 30.0  # one that ran this long is started again at once, as the first time


class SupervisedProcess:
    """One child process at a time. What it prints goes to stderr; Ctrl-C in the terminal does not reach it."""

    def __init__(
        self, name: str, command: Sequence[str], *, environ: Mapping[str, str], inherited_fds: Sequence[int] = ()
    ) -> None:
        self.name = name
        self._command = list(command)
        self._environ = dict(environ)
        self._inherit = tuple(inherited_fds)
        self._process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self._start_at: float | None = None
        self._failures = 0

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll() if self._process is not None else None

    def start(self, now: float) -> None:
        self._process = subprocess.Popen(
            self._command,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            pass_fds=self._inherit,
            start_new_session=True,
        )
        self.started_at, self._start_at = now, None
        log.info("event=program_started name=%s pid=%d", self.name, self._process.pid)

    def restart_if_due(self, now: float) -> None:
        """Starts the program again when it has ended and its pause is over; to be called often."""
        if self.exit_code is None:
            return
        if self._start_at is None:
            self._failures = 0 if now - self.started_at >= _STEADY_SECONDS else self._failures + 1
            pause_seconds = ExponentialBackoff(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS).compute(
                min(self._failures, _MAX_DOUBLINGS)
            )
            self._start_at = now + pause_seconds
            log.warning(
                "event=program_exited name=%s exit_code=%s restart_in_seconds=%.1f",
                self.name,
                self.exit_code,
                pause_seconds,
            )
        if now >= self._start_at:
            self.start(now)

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """Returns when the process is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
