"""The state that the operating system keeps of a process, and that a job can change for the jobs after it.

Hot path: it is restored after each job of an operator's function, see docs/isolation.md#what-it-costs.
"""

import fcntl
import os
import resource
import signal
import sys

# Not the module `signal`: it converts numbers to enumeration members and back, which takes twenty times as long.
from _signal import (  # type: ignore[import-not-found]  # Typeshed leaves it out.
    ITIMER_PROF,
    ITIMER_REAL,
    ITIMER_VIRTUAL,
    SIG_SETMASK,
    getsignal,
    pthread_sigmask,
    set_wakeup_fd,
    setitimer,
)
from _signal import signal as set_handler
from typing import Any

_SIGNALS = sorted(int(number) for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
_COMMON_SIGNALS, _REALTIME_SIGNALS = (
    [number for number in _SIGNALS if (number >= signal.SIGRTMIN) is realtime] for realtime in (False, True)
)
_LIMITS = sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")})
_MIN_SAVED_FD = 16


class SystemState:
    """The state that each job finds."""

    def __init__(self) -> None:
        self._streams = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _MIN_SAVED_FD) for fd in range(3)]
        self._directory: int | None = None
        # Python code changes limits only if it has imported this module. Until then they need not be read.
        sys.modules.pop("resource", None)
        self.keep()

    def keep(self) -> None:
        """Take the present state as the one to restore."""
        if self._directory is not None:
            os.close(self._directory)
        self._directory = _open_directory()
        self._umask = os.umask(0o22)
        os.umask(self._umask)
        self._mask = pthread_sigmask(signal.SIG_BLOCK, ())
        self._handlers = {number: getsignal(number) for number in _SIGNALS}
        self._common_handlers = [*map(getsignal, _COMMON_SIGNALS)]
        self._user = os.geteuid()
        self._limits = _limits()
        self._rare = _rare_state()

    def restore(self, *, thorough: bool) -> None:
        """Restore everything; what jobs rarely change only if `thorough`.

        Raises:
            Exception: something cannot be restored.
        """
        setitimer(ITIMER_REAL, 0)
        if [*map(getsignal, _COMMON_SIGNALS)] != self._common_handlers:
            self._restore_handlers()
        set_wakeup_fd(-1)
        pthread_sigmask(SIG_SETMASK, self._mask)
        os.umask(self._umask)
        if self._directory is not None:
            os.fchdir(self._directory)  # Wherever it is by now.
        stdin, stdout, stderr = self._streams
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        if os.geteuid() != self._user:
            os.seteuid(self._user)
        if "resource" in sys.modules and (limits := _limits()) != self._limits:
            _set_limits(limits, self._limits)
        if thorough:
            self._restore_handlers()
            if (rare := _rare_state()) != self._rare:
                _set_rare_state(rare, self._rare)

    def _restore_handlers(self) -> None:
        setitimer(ITIMER_VIRTUAL, 0)
        setitimer(ITIMER_PROF, 0)
        for number, handler in self._handlers.items():
            if getsignal(number) is not handler:
                set_handler(number, handler)  # Raises for a handler that was not Python's, None.


def _open_directory() -> int | None:
    try:
        return os.open(".", getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY)
    except OSError:
        return None  # It was removed before, or must not be read.


def _limits() -> list[tuple[int, int]]:
    return [*map(resource.getrlimit, _LIMITS)]


def _set_limits(present: list[tuple[int, int]], kept: list[tuple[int, int]]) -> None:
    for limit, now, before in zip(_LIMITS, present, kept, strict=True):
        if now != before:
            resource.setrlimit(limit, before)  # Raises if a maximum was lowered, except for root.


def _rare_state() -> tuple[Any, ...]:
    """Return user, group, niceness and processors of the process."""
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    return os.getuid(), os.geteuid(), os.getgid(), os.getegid(), os.getpriority(os.PRIO_PROCESS, 0), affinity


def _set_rare_state(present: tuple[Any, ...], kept: tuple[Any, ...]) -> None:
    *who, nice, affinity = kept
    if [*present[:4]] != who:
        raise PermissionError("the user or the group was changed")
    os.setpriority(os.PRIO_PROCESS, 0, nice)  # Raises if it was lowered, except for root.
    if affinity is not None:
        os.sched_setaffinity(0, affinity)
