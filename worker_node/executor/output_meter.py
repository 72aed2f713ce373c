"""Where the output of each job begins and ends in the streams of the executor, which go through pipes to the agent.

Hot path: it is asked after each job of an operator's function, see docs/isolation.md#what-it-costs. A system call per
stream tells how much is in the pipe, and the agent's page how much was taken out. So nothing is written for jobs that
print nothing, and nothing is looked at while a job runs.
"""

import sys
from array import array
from collections.abc import Callable
from contextlib import suppress
from fcntl import F_DUPFD_CLOEXEC, fcntl, ioctl
from functools import partial
from termios import FIONREAD
from time import sleep  # The name in this module: a job may replace the module's.
from typing import Any

from worker_node.ipc.protocol import OutputRange
from worker_node.ipc.status_page import WithdrawalPage

_MIN_FD = 16
_MAX_TRIES, _PAUSE_SECONDS = 5000, 0.0002
"""Until the agent, which the system may suspend at any point, has noted what it has just read."""


class OutputMeter:
    """Measures the output of one job after the other. Jobs in forks of this process write to the same streams.

    Args:
        page: tells how much the agent has read.
        measures: whether to measure at all.
    """

    def __init__(self, page: WithdrawalPage, *, measures: bool) -> None:
        self._reads = page.output_reads
        self._measures = measures
        # A job may close or redirect its own.
        self._stdout, self._stderr = (fcntl(fd, F_DUPFD_CLOEXEC, _MIN_FD) for fd in (1, 2))
        self._flushes = (sys.stdout.flush, sys.stderr.flush, _c_flush())
        self._pending = array("i", [0])
        self._seen = self._positions()

    def of_job(self) -> OutputRange | None:
        """Return where the output of the job that has just ended is; None if there is none, or it is not measured."""
        self.flush()
        seen, positions = self._seen, self._positions()
        if positions == seen:
            return None
        self._seen = positions
        return seen[0], positions[0], seen[1], positions[1]

    def flush(self) -> None:
        """Write what Python and the C library hold back."""
        flush_stdout, flush_stderr, flush_c = self._flushes
        try:
            flush_stdout()
            flush_stderr()
        except (ValueError, OSError):  # One is closed.
            with suppress(ValueError, OSError):
                flush_stderr()
        flush_c()

    def skip(self) -> None:
        """Count what has come since the last job, for example from its processes, to no job."""
        self._seen = self._positions()

    def _positions(self) -> tuple[int, int]:
        if not self._measures:
            return 0, 0
        return self._position(self._stdout, 0), self._position(self._stderr, 1)

    def _position(self, fd: int, stream: int) -> int:
        """Return how many bytes were written in all."""
        reads, pending = self._reads, self._pending
        for _ in range(_MAX_TRIES):
            read = reads[stream]
            ioctl(fd, FIONREAD, pending, True)
            if reads[stream] == read and not read & 1:
                break
            sleep(_PAUSE_SECONDS)
        return (read >> 1) + pending[0]


def _c_flush() -> Callable[[], Any]:
    """Let the C library write each line of standard output when it ends; return what writes the rest of a line.

    As it is a pipe, the C library would keep it back until its buffer is full, and forget it when the process is
    killed.
    """
    try:
        import ctypes

        library = ctypes.CDLL(None)
        stdout = ctypes.c_void_p.in_dll(library, "stdout")
        library.setvbuf(stdout, None, 1, 0)  # _IOLBF of glibc and musl.
    except (ImportError, OSError, ValueError, AttributeError):
        return _nothing
    flush = library.fflush
    return partial(flush, stdout)


def _nothing() -> None:
    """Stand in for a C library whose streams are unknown."""
